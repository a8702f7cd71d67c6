//! The accept loop's first half: connections come out of it one by one, and no error ends or spins it.
//! It keeps one file descriptor in reserve, so that a client can still be told when there are no others.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Waits after an accept that failed: the first, and the longest, to which they double.
const MIN_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// How often the log has a line about accepts that fail.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// How long after its last sign a [`Shortage`] is reported.
const SHORTAGE_LASTS: Duration = Duration::from_secs(10);

/// How long a client that is turned away may take to send its request and to read the answer. The next one
/// waits meanwhile.
const TURN_AWAY_TIME: Duration = Duration::from_millis(50);

/// What a client is told whom there is no descriptor for.
const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 34\r\n\
    retry-after: 5\r\n\
    connection: close\r\n\
    \r\n\
    The server has too many clients.\r\n";

/// The operating system's numbers for "this process (the whole system) has no more descriptors".
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// A TCP listener that never fails.
pub struct Listener {
    socket: TcpListener,
    /// Who connects here, for the log.
    clients: &'static str,
    /// A descriptor that is given up for a connection when there is no other.
    reserve: Option<File>,
    pause: Duration,
    shortage: Shortage,
}

/// A connection that has come.
#[derive(Debug)]
pub struct Accepted {
    pub stream: TcpStream,
    pub peer: SocketAddr,
    /// It has the reserve's descriptor: be done with it before the next [`Listener::accept`], which
    /// otherwise cannot tell the next client anything.
    pub is_last: bool,
}

impl Listener {
    /// `clients`: who connects here, as the log names them.
    pub fn new(socket: TcpListener, clients: &'static str) -> Listener {
        Listener {
            socket,
            clients,
            reserve: reserve(),
            pause: MIN_PAUSE,
            shortage: Shortage::default(),
        }
    }

    /// Tells others whether descriptors have run out here.
    pub fn shortage(&self) -> Shortage {
        self.shortage.clone()
    }

    /// The next connection. Waits as long as it takes, and longer from error to error.
    pub async fn accept(&mut self) -> Accepted {
        if self.reserve.is_none() {
            self.reserve = reserve();
        }
        loop {
            let error = match self.socket.accept().await {
                Ok((stream, peer)) => {
                    self.pause = MIN_PAUSE;
                    if self.reserve.is_none() {
                        self.reserve = reserve();
                    }
                    let is_last = self.reserve.is_none();
                    return Accepted {
                        stream,
                        peer,
                        is_last,
                    };
                }
                Err(error) => error,
            };
            if is_of_one_connection(&error) {
                continue;
            }
            self.shortage.note(self.clients, &error);
            if is_exhausted(&error) && self.reserve.take().is_some() {
                continue;
            }
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(MAX_PAUSE);
        }
    }
}

/// Answers 503 to whatever a client is about to ask, and closes the connection.
pub async fn turn_away(mut stream: TcpStream) {
    let told = async {
        stream.write_all(UNAVAILABLE.as_bytes()).await?;
        stream.shutdown().await?;
        // A connection that is closed with its request unread is reset, and the answer with it.
        let mut request = [0; 1024];
        while stream.read(&mut request).await? > 0 {}
        io::Result::Ok(())
    };
    // Whoever does not listen has had the chance.
    let _ = tokio::time::timeout(TURN_AWAY_TIME, told).await;
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

/// Whether only the connection that was to be accepted is broken.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

/// Whether connections could not be accepted a moment ago. Clones tell the same.
#[derive(Clone, Debug, Default)]
pub struct Shortage(Arc<Mutex<Option<Sign>>>);

#[derive(Debug)]
struct Sign {
    last: Instant,
    error: String,
    logged: Instant,
    not_logged: u64,
}

impl Shortage {
    /// What accepting failed of, if it did in the last ten seconds.
    pub fn now(&self) -> Option<String> {
        let sign = self.lock();
        let sign = sign.as_ref()?;
        (sign.last.elapsed() < SHORTAGE_LASTS).then(|| sign.error.clone())
    }

    /// The log gets the first line of a kind, and then one with a count now and then.
    fn note(&self, clients: &str, error: &io::Error) {
        let now = Instant::now();
        let mut sign = self.lock();
        let text = error.to_string();
        let not_logged = match sign.as_mut() {
            Some(sign) if sign.error == text && now - sign.logged < LOG_EVERY => {
                sign.last = now;
                sign.not_logged += 1;
                return;
            }
            Some(sign) => sign.not_logged,
            None => 0,
        };
        tracing::error!(
            %error,
            not_logged,
            "cannot accept connections of {clients}: raise the limit of open files (ulimit -n, LimitNOFILE=) if \
             that is what is exhausted"
        );
        *sign = Some(Sign {
            last: now,
            error: text,
            logged: now,
            not_logged: 0,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sign>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_the_length_it_says() {
        let (head, body) = UNAVAILABLE.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }

    #[test]
    fn a_flood_of_errors_is_one_line_and_a_count() {
        let shortage = Shortage::default();
        assert_eq!(shortage.now(), None);
        for _ in 0..1000 {
            shortage.note("tests", &io::Error::from_raw_os_error(EMFILE));
        }
        assert!(shortage.now().unwrap().contains("Too many open files"));
        assert_eq!(shortage.lock().as_ref().unwrap().not_logged, 999);
    }

    #[tokio::test]
    async fn who_is_turned_away_reads_why() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut listener = Listener::new(socket, "tests");
        let client = tokio::spawn(async move {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        });
        let accepted = listener.accept().await;
        assert!(!accepted.is_last);
        turn_away(accepted.stream).await;
        assert_eq!(client.await.unwrap(), UNAVAILABLE);
    }
}
