//! The calls of `spin:sqlite` from a guest: checks that the component may, keeps its connections,
//! and turns rows into component-model streams.

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use tokio::sync::mpsc;
use wasmtime::{
    Result, StoreContextMut,
    component::{
        Accessor, Destination, FutureReader, HasData, Resource, ResourceTable, StreamProducer,
        StreamReader, StreamResult, VecBuffer,
    },
};

use super::{
    connection::{Execution, OpenConnection},
    databases::Databases,
    statement::given_up,
};
use crate::bindings::spin::sqlite::sqlite::{
    Connection, Error, Host, HostConnection, HostConnectionWithStore, QueryResult, RowResult, Value,
};

/// Connections one instance may have at once.
const MAX_CONNECTIONS: usize = 256;

/// What an instance knows of databases.
pub struct SqliteState {
    pub databases: Arc<Databases>,
    pub allowed: Arc<BTreeSet<String>>,
    pub open: usize,
    /// Set with the end of the instance, which ends its statements.
    pub gone: Arc<AtomicBool>,
}

impl Drop for SqliteState {
    fn drop(&mut self) {
        self.gone.store(true, Relaxed);
    }
}

/// An instance's databases and resources, borrowed for one call.
pub struct SqliteView<'a> {
    pub state: &'a mut SqliteState,
    pub table: &'a mut ResourceTable,
}

/// Names [`SqliteView`] to the linker.
pub struct SqliteData;

impl HasData for SqliteData {
    type Data<'a> = SqliteView<'a>;
}

type Rows = StreamReader<RowResult>;
type Outcome = FutureReader<Result<(), Error>>;
type Result3 = std::result::Result<(Vec<String>, Rows, Outcome), Error>;

impl SqliteView<'_> {
    fn open_connection(&mut self, label: &str) -> Result<Result<Resource<Connection>, Error>> {
        if !self.state.allowed.contains(label) {
            return Ok(Err(Error::AccessDenied));
        }
        let connection = match self.state.databases.open(label, self.state.gone.clone()) {
            None => return Ok(Err(Error::NoSuchDatabase)),
            Some(Err(error)) => {
                tracing::error!("opening the database {label:?}: {error:#}");
                return Ok(Err(Error::InvalidConnection));
            }
            Some(Ok(connection)) => connection,
        };
        if self.state.open >= MAX_CONNECTIONS {
            return Ok(Err(Error::Io("too many connections opened".to_owned())));
        }
        self.state.open += 1;
        let handle = self.table.push(connection)?;
        Ok(Ok(Resource::new_own(handle.rep())))
    }

    fn connection(&self, handle: &Resource<Connection>) -> Result<OpenConnection> {
        let handle = Resource::<OpenConnection>::new_borrow(handle.rep());
        Ok(self.table.get(&handle)?.clone())
    }
}

impl Host for SqliteView<'_> {}

impl HostConnection for SqliteView<'_> {
    async fn open(&mut self, label: String) -> Result<Result<Resource<Connection>, Error>> {
        self.open_connection(&label)
    }

    async fn execute(
        &mut self,
        handle: Resource<Connection>,
        sql: String,
        parameters: Vec<Value>,
    ) -> Result<Result<QueryResult, Error>> {
        let connection = self.connection(&handle)?;
        let result = connection.execute_all(sql, parameters).await;
        Ok(result.map(|(columns, rows)| QueryResult { columns, rows }))
    }

    async fn last_insert_rowid(&mut self, handle: Resource<Connection>) -> Result<i64> {
        Ok(self.connection(&handle)?.last_insert_rowid())
    }

    async fn changes(&mut self, handle: Resource<Connection>) -> Result<u64> {
        Ok(self.connection(&handle)?.changes())
    }

    async fn drop(&mut self, handle: Resource<Connection>) -> Result<()> {
        let handle = Resource::<OpenConnection>::new_own(handle.rep());
        let connection = self.table.delete(handle)?;
        self.state.open -= 1;
        connection.close().await;
        Ok(())
    }
}

impl<T: Send> HostConnectionWithStore<T> for SqliteData {
    async fn open_async(
        store: &Accessor<T, Self>,
        label: String,
    ) -> Result<Result<Resource<Connection>, Error>> {
        store.with(|mut access| access.get().open_connection(&label))
    }

    async fn execute_async(
        store: &Accessor<T, Self>,
        handle: Resource<Connection>,
        sql: String,
        parameters: Vec<Value>,
    ) -> Result<Result3> {
        let connection = store.with(|mut access| access.get().connection(&handle))?;
        let Execution {
            columns,
            rows,
            result,
        } = match connection.execute(sql, parameters).await {
            Ok(execution) => execution,
            Err(error) => return Ok(Err(error)),
        };
        store.with(|mut access| {
            let rows = StreamReader::new(&mut access, RowProducer(rows))?;
            let result = FutureReader::new(&mut access, async move {
                Ok::<_, wasmtime::Error>(result.await.unwrap_or_else(|_| Err(given_up())))
            })?;
            Ok(Ok((columns, rows, result)))
        })
    }

    async fn last_insert_rowid_async(
        store: &Accessor<T, Self>,
        handle: Resource<Connection>,
    ) -> Result<i64> {
        store.with(|mut access| Ok(access.get().connection(&handle)?.last_insert_rowid()))
    }

    async fn changes_async(store: &Accessor<T, Self>, handle: Resource<Connection>) -> Result<u64> {
        store.with(|mut access| Ok(access.get().connection(&handle)?.changes()))
    }
}

/// Hands rows to the guest, as many at a time as are there.
struct RowProducer(mpsc::Receiver<RowResult>);

impl<D> StreamProducer<D> for RowProducer {
    type Item = RowResult;
    type Buffer = VecBuffer<RowResult>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, RowResult, VecBuffer<RowResult>>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        if destination.remaining(store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut rows = Vec::new();
        let room = self.0.max_capacity();
        let count = match self.0.poll_recv_many(cx, &mut rows, room) {
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            polled => ready!(polled),
        };
        if count == 0 {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        destination.set_buffer(rows.into());
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
