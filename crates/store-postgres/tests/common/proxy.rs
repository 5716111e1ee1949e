//! A way to the server that a test can cut.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use super::{Schema, url};

/// What a proxy does with what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Connections are ended, and new ones too.
    Cut,
    /// Connections stand, and nothing passes.
    Hangs,
}

pub struct Proxy {
    way: watch::Sender<Way>,
    swallow_commit: Arc<AtomicBool>,
    halt: Arc<Halt>,
    url: String,
}

/// Where the way ends for now.
#[derive(Default)]
struct Halt {
    /// A statement that says this is held back.
    before: Mutex<Option<&'static str>>,
    reached: Notify,
}

impl Proxy {
    pub async fn start() -> Self {
        let server = PgConnectOptions::from_str(&url()).expect("a URL");
        let target = (server.get_host().to_owned(), server.get_port());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        // The proxy looks for a message, which must not be encrypted.
        let options = server
            .host("127.0.0.1")
            .port(port)
            .ssl_mode(PgSslMode::Disable);
        let (way, ways) = watch::channel(Way::Open);
        let swallow_commit = Arc::new(AtomicBool::new(false));
        let swallow = swallow_commit.clone();
        let halt = Arc::<Halt>::default();
        let (stop, halts) = (way.clone(), halt.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let target = (target.0.clone(), target.1);
                let halt = (stop.clone(), halts.clone());
                tokio::spawn(pass(client, target, ways.clone(), swallow.clone(), halt));
            }
        });
        Self {
            way,
            swallow_commit,
            halt,
            url: options.to_url_lossy().to_string(),
        }
    }

    /// The same schema by way of the proxy.
    pub fn to(&self, schema: &Schema) -> tally_store_postgres::Database {
        let url = self.url.clone();
        tally_store_postgres::Database {
            url,
            ..schema.database.clone()
        }
    }

    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// The next COMMIT reaches the server, and its answer nobody: the connection
    /// ends when the server has given it.
    pub fn swallow_the_next_commit(&self) {
        self.swallow_commit.store(true, Ordering::SeqCst);
    }

    /// The next statement that says this is held back, and the way hangs until it is
    /// opened again. Returns what waits until that is so.
    pub fn halt_before(&self, text: &'static str) -> impl Future<Output = ()> {
        *self.halt.before.lock().expect("no panic") = Some(text);
        let halt = self.halt.clone();
        async move { halt.reached.notified().await }
    }
}

impl Halt {
    fn is_before(&self, passing: &[u8]) -> bool {
        let mut before = self.before.lock().expect("no panic");
        let text = before.map_or(&[][..], str::as_bytes);
        let found = !text.is_empty() && passing.windows(text.len()).any(|window| window == text);
        if found {
            *before = None;
        }
        found
    }
}

async fn pass(
    mut client: TcpStream,
    target: (String, u16),
    mut way: watch::Receiver<Way>,
    swallow: Arc<AtomicBool>,
    (stop, halt): (watch::Sender<Way>, Arc<Halt>),
) {
    if *way.borrow() == Way::Cut {
        return;
    }
    let mut server = TcpStream::connect(target)
        .await
        .expect("the server answers");
    let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut last_answer = false;
    loop {
        let now = *way.borrow_and_update();
        tokio::select! {
            _ = way.changed() => {}
            read = client.read(&mut up), if now == Way::Open => {
                let Ok(count @ 1..) = read else { return };
                last_answer = up[..count].windows(7).any(|window| window == b"COMMIT\0")
                    && swallow.swap(false, Ordering::SeqCst);
                if halt.is_before(&up[..count]) {
                    stop.send_replace(Way::Hangs);
                    halt.reached.notify_one();
                    // A way that the test has dropped stays as it is.
                    let _ = way.wait_for(|way| *way != Way::Hangs).await;
                }
                if server.write_all(&up[..count]).await.is_err() { return }
            }
            read = server.read(&mut down), if now == Way::Open => {
                let Ok(count @ 1..) = read else { return };
                if last_answer || client.write_all(&down[..count]).await.is_err() { return }
            }
        }
        if *way.borrow() == Way::Cut {
            return;
        }
    }
}
