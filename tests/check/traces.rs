//! What a run leaves behind at the registrars and in its output: never too many requests, a password at two servers, or a
//! secret that can be read.

use crate::registrar::{PASSWORD, Registrar};
use crate::run::Ran;

/// What went wrong there.
pub fn faults(registrars: &[Registrar], ran: &Ran) -> Vec<String> {
    let mut wrong = Vec::new();
    let came: Vec<_> = registrars.iter().map(Registrar::came).collect();
    let requests = requests(registrars);
    if requests > 40 {
        wrong.push(format!("{requests} requests came"));
    }
    let trusted = came.iter().filter(|came| came.iter().any(|request| request.is_proven())).count();
    if trusted > 1 {
        wrong.push(format!("the password was used at {trusted} servers"));
    }
    if came.iter().flatten().any(|request| request.all("Contact").any(|contact| contact.starts_with('*'))) {
        wrong.push("Contact: * was sent".to_owned());
    }
    if ran.all().contains(PASSWORD) {
        wrong.push("the password is in the output".to_owned());
    }
    wrong
}

/// How many requests came from the program itself: what a proxy hands on has a Via more.
pub fn requests(registrars: &[Registrar]) -> u64 {
    let all = registrars.iter().flat_map(Registrar::came);
    all.filter(|request| request.all("Via").count() == 1).count().try_into().unwrap()
}

/// How many answers to a challenge came.
pub fn proofs(registrars: &[Registrar]) -> usize {
    registrars.iter().flat_map(Registrar::came).filter(|request| request.is_proven()).count()
}
