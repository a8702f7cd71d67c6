//! What the variables of the component say: which keys tokens are checked with, and what else they must be.

use std::cell::RefCell;
use std::rc::Rc;

use spin_sdk::variables;

use crate::claims::Rules;
use crate::keys::Keys;

/// Seconds for which a set at a URL is good, if nothing else is said.
const MAX_AGE: f64 = 600.0;

#[derive(Debug)]
pub struct Settings {
    /// Those that the variables have.
    pub keys: Keys,
    /// Where there are more of them.
    pub published: Option<Published>,
    pub rules: Rules,
}

/// The variables, as they are written. One that is not there is one that is empty.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Texts {
    /// Signs HS256.
    pub secret: String,
    /// An Ed25519 public key, for EdDSA.
    pub public_key: String,
    /// A JSON Web Key Set.
    pub jwks: String,
    /// Where such a set is, and how long it is good.
    pub jwks_url: String,
    pub jwks_max_age: String,
    pub issuer: String,
    pub audience: String,
    /// Whether tokens need not end.
    pub allow_unlimited: String,
}

thread_local! {
    /// What was last read, and what that meant: to parse keys takes some time.
    static KNOWN: RefCell<Option<(Texts, Rc<Settings>)>> = const { RefCell::new(None) };
}

/// What the variables say now. The error says which is wrong, and how.
pub async fn read() -> Result<Rc<Settings>, String> {
    let texts = Texts {
        secret: variable("auth_secret").await?,
        public_key: variable("auth_public_key").await?,
        jwks: variable("auth_jwks").await?,
        jwks_url: variable("auth_jwks_url").await?,
        jwks_max_age: variable("auth_jwks_max_age").await?,
        issuer: variable("auth_issuer").await?,
        audience: variable("auth_audience").await?,
        allow_unlimited: variable("auth_allow_unlimited").await?,
    };
    let known = KNOWN.with_borrow(|known| {
        let known = known.as_ref().filter(|(before, _)| *before == texts);
        known.map(|(_, settings)| settings.clone())
    });
    if let Some(settings) = known {
        return Ok(settings);
    }
    let settings = Rc::new(Settings::parse(&texts)?);
    KNOWN.set(Some((texts, settings.clone())));
    Ok(settings)
}

impl Settings {
    pub fn parse(texts: &Texts) -> Result<Self, String> {
        let keys = Keys::parse(&texts.secret, &texts.public_key, &texts.jwks)?;
        let published = given(&texts.jwks_url)
            .map(|url| Published::parse(url, &texts.jwks_max_age))
            .transpose()?;
        if keys.is_empty() && published.is_none() {
            return Err(
                "there is nothing to check tokens with: set the variable auth_secret (HS256), auth_public_key \
                 (EdDSA), auth_jwks or auth_jwks_url"
                    .to_owned(),
            );
        }
        let allow_unlimited = match texts.allow_unlimited.trim() {
            "" | "false" => false,
            "true" => true,
            other => {
                return Err(format!(
                    "the variable auth_allow_unlimited is {other:?}, neither true nor false"
                ));
            }
        };
        Ok(Self {
            keys,
            published,
            rules: Rules {
                issuer: given(&texts.issuer),
                audience: given(&texts.audience),
                allow_unlimited,
            },
        })
    }
}

/// Keys that somebody publishes.
#[derive(Debug, PartialEq)]
pub struct Published {
    pub url: String,
    /// Seconds for which a set is good.
    pub max_age: f64,
}

impl Published {
    fn parse(url: String, max_age: &str) -> Result<Self, String> {
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(format!(
                "the variable auth_jwks_url is {url:?}, which is no URL of http or https"
            ));
        }
        let max_age = match max_age.trim() {
            "" => MAX_AGE,
            text => seconds(text).ok_or_else(|| {
                format!(
                    "the variable auth_jwks_max_age is {text:?}, not a number followed by s, m, h or d, such as 10m"
                )
            })?,
        };
        Ok(Self { url, max_age })
    }
}

fn seconds(text: &str) -> Option<f64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let number: u32 = number.parse().ok().filter(|number| *number > 0)?;
    Some(f64::from(number) * unit)
}

fn given(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

async fn variable(name: &str) -> Result<String, String> {
    match variables::get(name).await {
        Ok(value) => Ok(value),
        Err(variables::Error::Undefined(_)) => Ok(String::new()),
        Err(error) => Err(format!("the variable {name} cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_a_variable_is_named() {
        let secret = || "s".repeat(32);
        for (texts, said) in [
            (Texts::default(), "auth_secret"),
            (
                Texts {
                    secret: secret(),
                    allow_unlimited: "yes".into(),
                    ..Texts::default()
                },
                "auth_allow_unlimited is \"yes\"",
            ),
            (
                Texts {
                    jwks_url: "ftp://x".into(),
                    ..Texts::default()
                },
                "auth_jwks_url is \"ftp://x\"",
            ),
            (
                Texts {
                    secret: secret(),
                    jwks: "{}".into(),
                    ..Texts::default()
                },
                "auth_jwks",
            ),
        ] {
            let problem = Settings::parse(&texts).unwrap_err();
            assert!(problem.contains(said), "{problem}");
        }
    }

    #[test]
    fn a_url_is_enough() {
        let texts = Texts {
            jwks_url: " https://id.example/jwks ".into(),
            ..Texts::default()
        };
        let settings = Settings::parse(&texts).unwrap();
        let published = |max_age: f64| {
            let url = "https://id.example/jwks".to_owned();
            Some(Published { url, max_age })
        };
        assert_eq!(settings.published, published(600.0));
        assert!(!settings.rules.allow_unlimited && settings.rules.issuer.is_none());
        for (text, seconds) in [
            ("5s", Some(5.0)),
            ("2h", Some(7200.0)),
            ("0s", None),
            ("2", None),
        ] {
            let texts = Texts {
                jwks_max_age: text.into(),
                ..texts.clone()
            };
            let settings = Settings::parse(&texts);
            assert_eq!(settings.is_ok(), seconds.is_some(), "{text}");
            if let Ok(settings) = settings {
                assert_eq!(settings.published, seconds.and_then(published));
            }
        }
    }
}
