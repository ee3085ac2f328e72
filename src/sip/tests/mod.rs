//! Tests of the message language.
