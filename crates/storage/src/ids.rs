//! How the domain's values travel into statements and out of rows.

use domain::{AgentId, ApiKeyId, BuildId, FileId, RunId, TeamId, Timestamp};

use crate::db::{Row, StoreError, Value};

macro_rules! ids {
    ($($id:ident),+) => {$(
        impl From<$id> for Value {
            fn from(id: $id) -> Self {
                id.0.into()
            }
        }
    )+};
}

ids!(TeamId, AgentId, BuildId, RunId, ApiKeyId, FileId);

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        time.0.into()
    }
}

impl Row {
    pub(crate) fn time(&self, column: usize) -> Result<Timestamp, StoreError> {
        self.int(column).map(Timestamp)
    }

    pub(crate) fn opt_time(&self, column: usize) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.opt_int(column)?.map(Timestamp))
    }
}
