//! Values that are text in every format, with one spelling: what they print is what is stored, and
//! is read back by their `FromStr`.

/// For `#[serde(into = "String", try_from = "String")]`: each value as what it displays.
macro_rules! stored_as_text {
    ($($name:ty),+ $(,)?) => {$(
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = <$name as ::std::str::FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
    )+};
}

pub(crate) use stored_as_text;
