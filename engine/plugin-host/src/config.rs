//! A plugin's configuration, checked against the schema that the plugin brings.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// As many mistakes are told at a time.
const SHOWN_MAX: usize = 5;
/// Schemas and configurations are written by people.
const CONFIG_BYTES_MAX: usize = 256 << 10;

/// Why a configuration is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not a JSON object.
    #[error("the configuration is not a JSON object: {0}")]
    NotAnObject(String),
    /// Larger than anybody writes.
    #[error("the configuration has {0} bytes; at most 262144 are accepted")]
    TooLarge(usize),
    /// What the plugin says of its configuration is not a JSON Schema.
    #[error("the plugin's own schema of its configuration is not a JSON Schema: {0}")]
    BadSchema(String),
    /// Keys that the schema does not accept, each with what it would.
    #[error("{}", .0.join("; "))]
    Keys(Vec<String>),
}

/// The configuration as it is handed to the plugin; `schema` is empty if there is none.
pub(crate) fn checked(schema: &str, config: Option<&str>) -> Result<String, ConfigError> {
    let text = config.unwrap_or("{}");
    if text.len() > CONFIG_BYTES_MAX {
        return Err(ConfigError::TooLarge(text.len()));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| ConfigError::NotAnObject(error.to_string()))?;
    if !value.is_object() {
        return Err(ConfigError::NotAnObject(format!("it is {}", kind(&value))));
    }
    if schema.trim().is_empty() {
        return Ok(text.to_owned());
    }
    let schema: Value = serde_json::from_str(schema).map_err(|error| ConfigError::BadSchema(error.to_string()))?;
    let validator = validator(&schema).map_err(ConfigError::BadSchema)?;
    let wrong: Vec<String> = validator.iter_errors(&value).take(SHOWN_MAX).map(|error| told(&error)).collect();
    if wrong.is_empty() { Ok(text.to_owned()) } else { Err(ConfigError::Keys(wrong)) }
}

fn validator(schema: &Value) -> Result<Validator, String> {
    // A schema comes from a stranger: its patterns run on an engine whose time is bounded by the text, and what it
    // refers to is itself (nothing is fetched: the crate's features for that are off).
    jsonschema::options().with_pattern_options(PatternOptions::regex()).build(schema).map_err(|error| error.to_string())
}

/// Which key is wrong, and what would be accepted.
fn told(error: &jsonschema::ValidationError<'_>) -> String {
    let path = error.instance_path().to_string();
    let key = path.trim_start_matches('/').replace('/', ".");
    if key.is_empty() { error.to_string() } else { format!("{key}: {error}") }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "weight": {"type": "integer", "minimum": 1, "maximum": 100},
            "order": {"enum": ["oldest", "newest"]},
            "tenants": {"type": "object", "additionalProperties": {"type": "object", "required": ["share"]}}
        }
    }"#;

    #[test]
    fn what_the_schema_accepts_is_handed_on_as_it_was() {
        for config in [r#"{"weight": 3, "order": "oldest"}"#, "{}"] {
            assert_eq!(checked(SCHEMA, Some(config)).unwrap(), config);
        }
        assert_eq!(checked(SCHEMA, None).unwrap(), "{}");
        assert_eq!(checked("", Some(r#"{"anything": 1}"#)).unwrap(), r#"{"anything": 1}"#);
    }

    #[test]
    fn an_error_names_the_key_and_what_is_accepted() {
        let cases = [
            (r#"{"weight": 0}"#, ["weight", "minimum of 1"]),
            (r#"{"order": "best"}"#, ["order", "\"oldest\" or \"newest\""]),
            (r#"{"wieght": 3}"#, ["wieght", "unexpected"]),
            (r#"{"tenants": {"a": {}}}"#, ["tenants.a", "share"]),
        ];
        for (config, parts) in cases {
            let told = checked(SCHEMA, Some(config)).unwrap_err().to_string();
            assert!(parts.iter().all(|part| told.contains(part)), "{told}");
        }
        for config in ["", "3", "[]", "{"] {
            assert!(matches!(checked(SCHEMA, Some(config)), Err(ConfigError::NotAnObject(_))), "{config}");
        }
    }

    #[test]
    fn a_schema_that_is_none_or_that_leads_elsewhere_is_refused_and_one_that_chases_itself_ends() {
        for schema in
            ["{", r#"{"type": 3}"#, r#"{"$ref": "https://example.com/x.json"}"#, r#"{"$ref": "file:///etc/x"}"#]
        {
            assert!(matches!(checked(schema, None), Err(ConfigError::BadSchema(_))), "{schema}");
        }
        // Whatever is said of it, the process lives.
        for schema in [
            r##"{"$ref": "#"}"##,
            r##"{"allOf": [{"$ref": "#"}]}"##,
            r##"{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}"##,
            r#"{"propertyNames": {"pattern": "(a+)+$"}}"#,
        ] {
            let _ = checked(schema, Some(r#"{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!": 1}"#));
        }
    }
}
