//! Where the broker is, from a URL that may have a password: it is never shown.

use anyhow::{Context as _, Result, bail};
use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

/// Servers of one broker, and how to be let in.
pub struct Address {
    pub servers: Vec<ServerAddr>,
    login: Login,
    /// Hosts and ports.
    pub shown: String,
}

enum Login {
    None,
    Token(String),
    User(String, String),
}

impl Address {
    /// Of `nats://host`, `tls://user:password@host:4222` or several, separated by commas.
    pub fn parse(urls: &str) -> Result<Address> {
        let (mut servers, mut shown, mut login) = (Vec::new(), Vec::new(), Login::None);
        for url in urls.split(',').map(str::trim) {
            let server: ServerAddr = url.parse().context("it is not a URL")?;
            if !matches!(server.scheme(), "nats" | "tls") {
                bail!("its scheme is {}, not nats or tls", server.scheme());
            }
            if server.host().is_empty() {
                bail!("it names no host");
            }
            if let Some(user) = server.username() {
                let user = decoded(user)?;
                login = match server.password() {
                    Some(password) => Login::User(user, decoded(password)?),
                    None => Login::Token(user),
                };
            }
            shown.push(format!("{}:{}", server.host(), server.port()));
            let mut plain = server.into_inner();
            // Neither fails for a URL with a host.
            let _ = plain.set_username("");
            let _ = plain.set_password(None);
            servers.push(ServerAddr::from_url(plain)?);
        }
        Ok(Address {
            servers,
            login,
            shown: shown.join(", "),
        })
    }

    pub fn options(&self) -> ConnectOptions {
        let options = ConnectOptions::new();
        match &self.login {
            Login::None => options,
            Login::Token(token) => options.token(token.clone()),
            Login::User(user, password) => {
                options.user_and_password(user.clone(), password.clone())
            }
        }
    }
}

fn decoded(text: &str) -> Result<String> {
    let text = percent_decode_str(text).decode_utf8();
    Ok(text.context("its user is not UTF-8")?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_used_and_not_shown() {
        let address = Address::parse("nats://ann:p%40ss@a.example, tls://b.example:4333").unwrap();
        assert_eq!(address.shown, "a.example:4222, b.example:4333");
        assert!(
            matches!(&address.login, Login::User(user, password) if user == "ann" && password == "p@ss")
        );
        assert!(!format!("{:?}", address.servers).contains("p%40ss"));
        let token = Address::parse("nats://secret@127.0.0.1").unwrap();
        assert!(matches!(&token.login, Login::Token(token) if token == "secret"));
        let plain = Address::parse("127.0.0.1:4222").unwrap();
        assert!(matches!(plain.login, Login::None));
    }

    #[test]
    fn what_is_wrong_is_said_without_what_was_given() {
        for url in [
            "",
            "http://ann:secret@a",
            "ws://ann:secret@a",
            "nats://",
            "nats://ann:secret@a:port",
            "nats://ann:secret@a b",
        ] {
            let error = Address::parse(url).err().expect(url);
            assert!(!format!("{error:#}").contains("secret"), "{error:#}");
        }
    }
}
