//! Answers, and where they go.
