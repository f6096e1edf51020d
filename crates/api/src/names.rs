//! Words of `payment`, for the document: each with all its values, taken from where they stand.

use std::borrow::Cow;

use ivrpay_payment as payment;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

macro_rules! names {
    ($($name:ident = $text:literal)*) => {$(
        #[doc = $text]
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some($text))
                    .enum_values(Some(payment::$name::ALL.map(payment::$name::name)))
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )*};
}

names! {
    Brand = "A card's brand."
    State = "Where a payment stands. `unknown` may have been charged: do not charge again."
    Transaction = "What a card is for."
}
