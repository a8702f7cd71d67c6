//! A name that nobody knows: which of the known ones was perhaps meant.

/// So few letters may be wrong, of three.
const WRONG_OF_THREE: usize = 3;

/// The known name that is most like this one, if any is like it at all.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distance = |other: &str| strsim::damerau_levenshtein(&name, &other.to_lowercase());
    let known = known.into_iter().map(|other| (distance(other), other));
    let (distance, other) = known.min_by_key(|(distance, _)| *distance)?;
    (distance * WRONG_OF_THREE <= name.len()).then_some(other)
}

/// The end of a sentence about a name that is not there: what was perhaps meant, else all that there is.
pub fn instead<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(other) => format!("did you mean {other}?"),
        None => {
            let known: Vec<&str> = known.into_iter().collect();
            match known.is_empty() {
                true => "there is none".to_owned(),
                false => format!("there are {}", known.join(", ")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["recovery_duration", "retention_age", "auth_issuer"];
        assert_eq!(
            nearest("recovery_duraton", known),
            Some("recovery_duration")
        );
        assert_eq!(nearest("Retention-age", known), Some("retention_age"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(instead("auth_isuer", known), "did you mean auth_issuer?");
        assert!(instead("colour", known).ends_with("retention_age, auth_issuer"));
        assert_eq!(instead("colour", []), "there is none");
    }
}
