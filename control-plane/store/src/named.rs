//! Enums in text columns, by the names that serde gives them.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::value::StrDeserializer;
use serde::{Deserialize, Serialize};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// A fieldless enum in a text column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Named<T>(pub T);

impl<T> Type<Postgres> for Named<T> {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }

    fn compatible(info: &PgTypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(info)
    }
}

impl<'r, T: for<'de> Deserialize<'de>> Decode<'r, Postgres> for Named<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let text = <&str as Decode<'r, Postgres>>::decode(value)?;
        let named = T::deserialize(StrDeserializer::<serde::de::value::Error>::new(text))?;
        Ok(Self(named))
    }
}

impl<T: Serialize> Encode<'_, Postgres> for Named<T> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let value = serde_json::to_value(&self.0)?;
        let name = value.as_str().ok_or("only a fieldless variant has a name")?;
        Encode::<Postgres>::encode(name, buffer)
    }
}

/// A value in a text column, by its `Display` and `FromStr`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written<T>(pub T);

impl<T> Type<Postgres> for Written<T> {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }

    fn compatible(info: &PgTypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(info)
    }
}

impl<'r, T: FromStr<Err: Display>> Decode<'r, Postgres> for Written<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let text = <&str as Decode<'r, Postgres>>::decode(value)?;
        text.parse().map(Self).map_err(|error: T::Err| error.to_string().into())
    }
}

impl<T: Display> Encode<'_, Postgres> for Written<T> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.0.to_string(), buffer)
    }
}
