//! Looks at SQL text as far as Spin's rules need it: where the first statement ends, and whether it
//! would open another file. Understands tokens, not grammar; SQLite itself judges the rest.

/// The first statement of several. SQLite's API, as Spin uses it, runs only that one.
pub fn first(sql: &str) -> &str {
    if !sql.contains(';') {
        return sql;
    }
    let mut trigger = TriggerHead::default();
    let mut in_trigger = false;
    // Inside a trigger's body a semicolon ends the whole only after `; END`.
    let mut body = BodyEnd::Elsewhere;
    for token in Tokens::new(sql) {
        match token.kind {
            Kind::Semicolon if !in_trigger || body == BodyEnd::End => return &sql[..token.end],
            Kind::Semicolon => body = BodyEnd::Semicolon,
            Kind::Word => {
                let word = &sql[token.start..token.end];
                in_trigger = in_trigger || trigger.completes(word);
                body = if body == BodyEnd::Semicolon && word.eq_ignore_ascii_case("end") {
                    BodyEnd::End
                } else {
                    BodyEnd::Elsewhere
                };
            }
            Kind::Other => {
                trigger.stop();
                body = BodyEnd::Elsewhere;
            }
        }
    }
    sql
}

/// Whether a statement would open a database file besides its own.
pub fn opens_another_file(statement: &str) -> bool {
    let mut words = Tokens::new(statement).skip_while(|token| token.kind == Kind::Semicolon);
    let Some(first) = words.next() else {
        return false;
    };
    let text = |token: &Token| statement[token.start..token.end].to_ascii_lowercase();
    match text(&first).as_str() {
        "attach" => {
            let name = words.find(|token| text(token) != "database");
            !matches!(
                name.map(|token| text(&token)).as_deref(),
                Some("''" | "':memory:'")
            )
        }
        "vacuum" => words.any(|token| text(&token) == "into"),
        _ => false,
    }
}

/// Watches for `[EXPLAIN] CREATE [TEMP|TEMPORARY] TRIGGER` at the beginning.
#[derive(Default)]
struct TriggerHead {
    created: bool,
    stopped: bool,
}

impl TriggerHead {
    fn completes(&mut self, word: &str) -> bool {
        if self.stopped {
            return false;
        }
        match word.to_ascii_lowercase().as_str() {
            "explain" if !self.created => {}
            "create" if !self.created => self.created = true,
            "temp" | "temporary" if self.created => {}
            "trigger" if self.created => return true,
            _ => self.stopped = true,
        }
        false
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}

#[derive(PartialEq)]
enum BodyEnd {
    Elsewhere,
    Semicolon,
    End,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Word,
    Semicolon,
    /// A quoted text or any other character.
    Other,
}

struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

/// Words, semicolons and the rest, without white space and comments.
struct Tokens<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Tokens<'a> {
    fn new(sql: &'a str) -> Self {
        Tokens {
            bytes: sql.as_bytes(),
            position: 0,
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.position + ahead).copied()
    }

    fn skip_until(&mut self, end: &[u8]) {
        let rest = &self.bytes[self.position..];
        let found = rest.windows(end.len()).position(|window| window == end);
        self.position = found.map_or(self.bytes.len(), |at| self.position + at + end.len());
    }

    /// Passes a quoted text; a doubled quote stands for itself.
    fn skip_quoted(&mut self, close: u8) {
        self.position += 1;
        loop {
            self.skip_until(&[close]);
            if close == b']' || self.peek(0) != Some(close) {
                return;
            }
            self.position += 1;
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let start = self.position;
            let kind = match self.peek(0)? {
                b if b.is_ascii_whitespace() => {
                    self.position += 1;
                    continue;
                }
                b'-' if self.peek(1) == Some(b'-') => {
                    self.skip_until(b"\n");
                    continue;
                }
                b'/' if self.peek(1) == Some(b'*') => {
                    self.position += 2;
                    self.skip_until(b"*/");
                    continue;
                }
                quote @ (b'\'' | b'"' | b'`') => {
                    self.skip_quoted(quote);
                    Kind::Other
                }
                b'[' => {
                    self.skip_quoted(b']');
                    Kind::Other
                }
                b';' => {
                    self.position += 1;
                    Kind::Semicolon
                }
                b if is_word(b) => {
                    while self.peek(0).is_some_and(is_word) {
                        self.position += 1;
                    }
                    Kind::Word
                }
                _ => {
                    self.position += 1;
                    Kind::Other
                }
            };
            return Some(Token {
                kind,
                start,
                end: self.position,
            });
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_statement_ends_at_the_first_semicolon_that_is_one() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT 1"),
            ("SELECT 1; SELECT 2", "SELECT 1;"),
            ("SELECT ';'';', \";\"; X", "SELECT ';'';', \";\";"),
            ("SELECT 1 -- ;\n; X", "SELECT 1 -- ;\n;"),
            ("/* ; */ SELECT [;]; X", "/* ; */ SELECT [;];"),
            ("SELECT 'not closed ; X", "SELECT 'not closed ; X"),
            ("SELECT 'größe;'; X", "SELECT 'größe;';"),
        ] {
            assert_eq!(first(sql), expected);
        }
    }

    #[test]
    fn a_trigger_is_one_statement() {
        let trigger = "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN \
                       SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM b; END;";
        assert_eq!(first(&format!("{trigger} SELECT 1;")), trigger);
        assert_eq!(
            first("CREATE TABLE trigger_(a); X"),
            "CREATE TABLE trigger_(a);"
        );
    }

    #[test]
    fn opening_another_file_is_noticed() {
        for sql in [
            "ATTACH 'a.db' AS a",
            " /**/attach database ? as x",
            "VACUUM INTO 'b.db'",
        ] {
            assert!(opens_another_file(sql), "{sql}");
        }
        for sql in [
            "ATTACH ':memory:' AS a",
            "VACUUM",
            "SELECT 'attach'",
            "ATTACH DATABASE '' AS x",
        ] {
            assert!(!opens_another_file(sql), "{sql}");
        }
    }
}
