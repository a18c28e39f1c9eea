//! One statement: its values on their way in, its rows on their way out.

use std::error::Error;

use deadpool_postgres::GenericClient as _;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::connect::Pooler;
use super::trouble::said;
use super::Open;
use crate::db::error::StoreError;
use crate::db::value::{Row, Value};

/// Runs a statement that answers no rows; returns how many it changed.
pub(in crate::db) async fn exec(open: &Open<'_>, sql: &'static str, params: &[Value]) -> Result<u64, StoreError> {
    match open.pooler {
        Pooler::None => {
            let statement = open.transaction.prepare_cached(sql).await.map_err(|error| said(&error))?;
            let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|value| value as _).collect();
            open.transaction.execute(&statement, &values).await.map_err(|error| said(&error))
        }
        // The rows are none, and the count comes with them.
        Pooler::Transaction => {
            let typed: Vec<_> = params.iter().map(|value| (value as &(dyn ToSql + Sync), kind(value))).collect();
            open.transaction.execute_typed(sql, &typed).await.map_err(|error| said(&error))
        }
    }
}

/// Runs a statement and returns its rows.
pub(in crate::db) async fn rows(open: &Open<'_>, sql: &'static str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
    let rows = match open.pooler {
        Pooler::None => {
            let statement = open.transaction.prepare_cached(sql).await.map_err(|error| said(&error))?;
            let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|value| value as _).collect();
            open.transaction.query(&statement, &values).await
        }
        Pooler::Transaction => {
            let typed: Vec<_> = params.iter().map(|value| (value as &(dyn ToSql + Sync), kind(value))).collect();
            open.transaction.query_typed(sql, &typed).await
        }
    };
    rows.map_err(|error| said(&error))?.iter().map(|row| read(row, sql)).collect()
}

/// Runs several statements separated by semicolons.
pub(in crate::db) async fn script(open: &Open<'_>, sql: &str) -> Result<(), StoreError> {
    open.transaction.batch_execute(sql).await.map_err(|error| said(&error))
}

/// The type that a value is sent as where the server is not asked first.
fn kind(value: &Value) -> Type {
    match value {
        // The server finds out from where it stands.
        Value::Null => Type::UNKNOWN,
        Value::Int(_) => Type::INT8,
        Value::Text(_) => Type::TEXT,
        Value::Bytes(_) => Type::BYTEA,
    }
}

fn read(row: &tokio_postgres::Row, sql: &'static str) -> Result<Row, StoreError> {
    let values = row.columns().iter().enumerate().map(|(place, column)| {
        let read = match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(place).map(Value::from),
            Type::INT4 => row.try_get::<_, Option<i32>>(place).map(Value::from),
            Type::BOOL => row.try_get::<_, Option<bool>>(place).map(Value::from),
            Type::TEXT | Type::VARCHAR | Type::NAME => row.try_get::<_, Option<String>>(place).map(Value::from),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(place).map(Value::from),
            ref other => return Err(StoreError::Sql(format!("column {place} is of the type {other} in `{sql}`"))),
        };
        read.map_err(|error| said(&error))
    });
    Ok(Row { sql, values: values.collect::<Result<_, _>>()? })
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(int) if *ty == Type::INT4 => i32::try_from(*int)?.to_sql(ty, out),
            Self::Int(int) if *ty == Type::INT8 => int.to_sql(ty, out),
            Self::Text(text) if <&str as ToSql>::accepts(ty) => text.to_sql(ty, out),
            Self::Bytes(bytes) if *ty == Type::BYTEA => bytes.to_sql(ty, out),
            _ => Err(format!("a value of another kind than {ty}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
