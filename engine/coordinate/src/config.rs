//! What an operator sets for this door.

use std::{fmt, sync::Arc};

use crate::{cbor::Writer, refusal::Refusal};

/// Says, at any time, whether new units are taken: `Err` says why not.
pub type TakesWork = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Settings of the door.
#[derive(Clone)]
pub struct Config {
    /// What `get_config` answers, in CBOR; without it, `get_config` is an error.
    pub(crate) global_config: Option<Vec<u8>>,
    /// The longest request, in bytes.
    pub(crate) frame_bytes_max: usize,
    takes_work: TakesWork,
}

impl Default for Config {
    fn default() -> Self {
        Self { global_config: None, frame_bytes_max: 64 << 20, takes_work: Arc::new(|| Ok(())) }
    }
}

impl Config {
    /// The longest request, in bytes. A longer one is answered with an error.
    #[must_use]
    pub fn with_frame_bytes_max(mut self, bytes: usize) -> Self {
        self.frame_bytes_max = bytes;
        self
    }

    /// Who says whether new units are taken. Without anybody, they always are.
    #[must_use]
    pub fn with_takes_work(mut self, takes_work: TakesWork) -> Self {
        self.takes_work = takes_work;
        self
    }

    pub(crate) fn takes_work(&self) -> Result<(), Refusal> {
        (self.takes_work)().map_err(Refusal::new)
    }

    /// What `get_config` answers. Strings become what Python 2 makes of the same words in a YAML file: byte strings if
    /// they are ASCII, else text. Dates are strings.
    #[must_use]
    pub fn with_global_config(mut self, table: &toml::Table) -> Self {
        let mut out = Writer::default();
        write_table(table, &mut out);
        self.global_config = Some(out.into_bytes());
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { global_config, frame_bytes_max, takes_work: _ } = self;
        let mut shown = out.debug_struct("Config");
        shown.field("global_config", global_config).field("frame_bytes_max", frame_bytes_max).finish_non_exhaustive()
    }
}

fn write_table(table: &toml::Table, out: &mut Writer) {
    out.map(table.len());
    for (key, value) in table {
        write_string(key, out);
        write_value(value, out);
    }
}

fn write_value(value: &toml::Value, out: &mut Writer) {
    match value {
        toml::Value::String(text) => write_string(text, out),
        toml::Value::Integer(number) => _ = out.int(*number),
        toml::Value::Float(number) => _ = out.float(*number),
        toml::Value::Boolean(value) => _ = out.bool(*value),
        toml::Value::Datetime(time) => write_string(&time.to_string(), out),
        toml::Value::Array(values) => {
            out.array(values.len());
            values.iter().for_each(|value| write_value(value, out));
        }
        toml::Value::Table(table) => write_table(table, out),
    }
}

fn write_string(text: &str, out: &mut Writer) {
    if text.is_ascii() {
        out.bytes(text)
    } else {
        out.text(text)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_becomes_what_python_would_read() {
        let table = "a = 1\nb = [true, 1.5]\nc.d = \"ü\"\n".parse().unwrap();
        let config = Config::default().with_global_config(&table);
        let expected = b"\xa3\x41a\x01\x41b\x82\xf5\xfb\x3f\xf8\0\0\0\0\0\0\x41c\xa1\x41d\x62\xc3\xbc";
        assert_eq!(config.global_config.as_deref(), Some(&expected[..]));
    }
}
