//! The table in which tags wait for the relay, and the functions beside it.

use crate::error::{Error, ErrorKind};
use crate::quote::{comment, dollars, ident, literal};

/// Room for what stands behind it in the name of the channel.
const LONGEST_SCHEMA: usize = 48;

/// Where tags wait between the commit that they come with and the relay: a schema of its own
/// with a table `outbox`.
///
/// ```
/// use fragkeys_postgres::Outbox;
///
/// let sql = Outbox::new().in_schema("cache").create_sql()?;
/// assert!(sql.contains(r#"CREATE TABLE IF NOT EXISTS "cache".outbox"#));
/// # Ok::<(), fragkeys_postgres::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbox {
    schema: String,
    notifies: bool,
}

impl Default for Outbox {
    fn default() -> Self {
        Outbox { schema: "fragkeys".to_owned(), notifies: true }
    }
}

impl Outbox {
    /// The outbox in the schema `fragkeys`, whose writers wake the relay.
    #[must_use]
    pub fn new() -> Self {
        Outbox::default()
    }

    /// Another schema, which nothing else stands in: one for each cache whose tags this database
    /// bumps. Its name takes letters, digits and `_`, at most 48. Default: `fragkeys`.
    #[must_use]
    pub fn in_schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// What tells its triggers from those of the usual one, on the same table.
    pub(crate) fn schema_of_its_own(&self) -> Option<&str> {
        let schema = self.schema.as_str();
        (schema != Outbox::default().schema).then_some(schema)
    }

    /// Nobody wakes the relay, which finds new tags when it looks again: once a second. For
    /// transactions that are prepared (two-phase commit), in which PostgreSQL allows no `NOTIFY`;
    /// and for more commits a second than PostgreSQL can put in line, as it does with those that
    /// notify. Default: they do.
    ///
    /// It is said in the outbox's SQL alone: run that again to change it.
    #[must_use]
    pub fn without_notify(mut self) -> Self {
        self.notifies = false;
        self
    }

    /// SQL that makes the outbox, or brings an older one up to date. It can be run again; nothing
    /// in the outbox is lost.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the schema cannot be called so.
    pub fn create_sql(&self) -> Result<String, Error> {
        self.check()?;
        let schema = ident(&self.schema);
        let lock = self.lock();
        let body = format!(
            "BEGIN
  IF current_setting('server_version_num')::int < 140000 THEN
    RAISE EXCEPTION 'fragkeys needs PostgreSQL 14 or later';
  END IF;
  -- Two that run this at once would trip over each other.
  {lock}
  IF to_regnamespace({schema_text}) IS NULL THEN
    CREATE SCHEMA {schema};
  END IF;

  -- It is emptied as fast as it is filled: so vacuum by the number of dead rows alone.
  CREATE TABLE IF NOT EXISTS {schema}.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tag text COLLATE \"C\" NOT NULL,
    made timestamptz NOT NULL DEFAULT clock_timestamp()
  ) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 100000
  );
  COMMENT ON TABLE {schema}.outbox IS
    'Tags that wait for fragkeys-postgres, which bumps and then deletes them.';

{functions}END
",
            schema_text = literal(&ident(&self.schema)),
            functions = self.functions(),
        );
        Ok(format!(
            "-- The outbox of fragkeys-postgres in the schema {}.\nDO {};\n",
            comment(&schema),
            dollars("fragkeys", &body)
        ))
    }

    /// SQL that takes the outbox away, with the tags that wait in it. It fails, and changes
    /// nothing, while there are triggers that write to it: each write of their tables would fail.
    ///
    /// # Errors
    ///
    /// As [`create_sql`](Self::create_sql).
    pub fn drop_sql(&self) -> Result<String, Error> {
        self.check()?;
        let schema = ident(&self.schema);
        let body = format!(
            "DECLARE
  users text;
BEGIN
  {lock}
  IF to_regnamespace({schema_text}) IS NULL THEN
    RETURN;
  END IF;
  SELECT string_agg(DISTINCT tgrelid::regclass::text, ', ') INTO users
    FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE pronamespace = to_regnamespace({schema_text});
  IF users IS NOT NULL THEN
    RAISE EXCEPTION 'fragkeys: the outbox is in use: first drop the triggers of %', users;
  END IF;
  DROP FUNCTION IF EXISTS {schema}.bump(text[]);
  DROP FUNCTION IF EXISTS {schema}.wake();
  DROP FUNCTION IF EXISTS {schema}.segment(text);
  DROP FUNCTION IF EXISTS {schema}.tag(text);
  DROP FUNCTION IF EXISTS {schema}.check_column(regclass, text, text, text);
  DROP TABLE IF EXISTS {schema}.outbox;
  DROP SCHEMA {schema};
END
",
            lock = self.lock(),
            schema_text = literal(&ident(&self.schema)),
        );
        Ok(format!("DO {};\n", dollars("fragkeys", &body)))
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let is_plain = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
        if (1..=LONGEST_SCHEMA).contains(&self.schema.len()) && self.schema.bytes().all(is_plain) {
            return Ok(());
        }
        let message = format!(
            "the outbox's schema cannot be called `{}`: its name takes letters, digits and `_`, \
             and 1 to {LONGEST_SCHEMA} of them",
            comment(&self.schema)
        );
        Err(Error::new(ErrorKind::Config, message))
    }

    /// The schema as an identifier.
    pub(crate) fn schema(&self) -> String {
        ident(&self.schema)
    }

    /// Takes turns with whoever changes this outbox or its triggers, until the transaction ends.
    pub(crate) fn lock(&self) -> String {
        format!(
            "PERFORM pg_advisory_xact_lock(hashtext('fragkeys-postgres'), hashtext({}));",
            literal(&self.schema)
        )
    }

    /// What is listened to: a name.
    pub(crate) fn channel(&self) -> String {
        format!("{}_outbox", self.schema)
    }

    fn functions(&self) -> String {
        let wake = if self.notifies {
            format!("PERFORM pg_notify({}, '');", literal(&self.channel()))
        } else {
            "NULL;".to_owned()
        };
        // The body of a function is between dollars of its own, inside of those around all.
        let functions = FUNCTIONS.replace("{schema}", &ident(&self.schema));
        functions.replace("{wake}", &wake)
    }
}

/// Their `search_path` is fixed, so that nothing of a user's is taken for PostgreSQL's own.
const FUNCTIONS: &str = r#"  CREATE OR REPLACE FUNCTION {schema}.wake() RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $wake$
  BEGIN
    {wake}
  END
  $wake$;

  -- A value as one segment of a tag.
  CREATE OR REPLACE FUNCTION {schema}.segment(value text) RETURNS text
  LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $segment$
    SELECT pg_catalog.replace(pg_catalog.replace(value, E'\\', E'\\\\'), ':', E'\\:')
  $segment$;

  -- A tag that begins with a value, which could make it a tag of another kind.
  CREATE OR REPLACE FUNCTION {schema}.tag(value text) RETURNS text
  LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $tag$
    SELECT CASE
      WHEN pg_catalog.left(value, 1) IN ('=', '@', '~') OR value = '*' THEN pg_catalog.concat(E'\\', value)
      ELSE value
    END
  $tag$;

  -- For whoever writes past the triggers: SELECT {schema}.bump('User:42', 'Dashboard').
  CREATE OR REPLACE FUNCTION {schema}.bump(VARIADIC tags text[]) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $bump$
  BEGIN
    INSERT INTO {schema}.outbox (tag)
      SELECT DISTINCT tag COLLATE "C" FROM unnest(tags) AS given (tag) WHERE tag <> '';
    IF FOUND THEN
      PERFORM {schema}.wake();
    END IF;
  END
  $bump$;

  -- Has this column the text that the model's field has? Else its tags would be others.
  CREATE OR REPLACE FUNCTION {schema}.check_column(relation regclass, field text, called text, kind text)
  RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $check$
  DECLARE
    allowed regtype[] := CASE kind
      WHEN 'integer' THEN '{smallint,integer,bigint}'
      WHEN 'text' THEN '{text,varchar}'
      WHEN 'uuid' THEN '{uuid}'
      WHEN 'boolean' THEN '{boolean}'
      ELSE '{smallint,integer,bigint,text,varchar,uuid,boolean}'
    END;
    found_type regtype;
  BEGIN
    -- A domain is what it is made of.
    WITH RECURSIVE types AS (
      SELECT atttypid AS id FROM pg_attribute
        WHERE attrelid = relation AND attname = called AND attnum > 0 AND NOT attisdropped
      UNION ALL
      SELECT typbasetype FROM types JOIN pg_type ON oid = id WHERE typtype = 'd'
    )
    SELECT id INTO found_type FROM types JOIN pg_type ON oid = id WHERE typtype <> 'd';
    IF found_type IS NULL THEN
      RAISE EXCEPTION 'fragkeys: % has no column %, which the field % should be', relation, quote_ident(called), quote_literal(field)
        USING HINT = format('Say in the model how it is called: columns = [%s = ".."]', field);
    END IF;
    IF NOT found_type = ANY (allowed) THEN
      RAISE EXCEPTION 'fragkeys: column % of % is of type %, whose text need not be that of the field %', quote_ident(called), relation, found_type, quote_literal(field)
        USING HINT = format('Supported here: %s.', array_to_string(allowed, ', '));
    END IF;
  END
  $check$;
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_needs_a_name_that_fits() {
        for schema in ["", "a\0b", "a\"b", "$bump$", "{wake}", "ä", &"x".repeat(49)] {
            let outbox = Outbox::new().in_schema(schema);
            assert_eq!(outbox.create_sql().unwrap_err().kind(), ErrorKind::Config);
            assert_eq!(outbox.drop_sql().unwrap_err().kind(), ErrorKind::Config);
        }
        assert!(Outbox::new().in_schema("x".repeat(48)).create_sql().is_ok());
    }
}
