//! A plan to SQL. It cannot fail and decides nothing.

use fragkeys::{RowTag, RowTagPart, TableInfo};

use super::{Plan, Triggers};
use crate::quote::{clean, comment, digest, dollars, ident, literal, qualified};

/// When a trigger runs, its name's end, and the rows that it is given.
const EVENTS: [(&str, &str, &str); 4] = [
    ("AFTER INSERT", "insert", " REFERENCING NEW TABLE AS fragkeys_new"),
    ("AFTER UPDATE", "update", " REFERENCING OLD TABLE AS fragkeys_old NEW TABLE AS fragkeys_new"),
    ("AFTER DELETE", "delete", " REFERENCING OLD TABLE AS fragkeys_old"),
    ("BEFORE TRUNCATE", "truncate", ""),
];

/// Of a table with more rows, a `TRUNCATE` bumps the whole cache.
const MOST_TRUNCATED: u32 = 100_000;

/// The names of what is made for one model.
struct Names {
    table: String,
    /// The function, with its schema.
    function: String,
    trigger: String,
}

impl Names {
    fn of(triggers: &Triggers, table: &TableInfo) -> Self {
        let last = table.name.last().copied().unwrap_or_default();
        let mut parts = table.name.to_vec();
        parts.push(triggers.tag_name);
        parts.extend(triggers.outbox.schema_of_its_own());
        let digest = digest(&parts);
        let function = format!("{}_{}_{digest}", clean(last, 20), clean(triggers.tag_name, 20));
        Names {
            table: qualified(table.name),
            function: format!("{}.{}", triggers.outbox.schema(), ident(&function)),
            trigger: format!("fragkeys_{}_{digest}", clean(triggers.tag_name, 30)),
        }
    }

    fn trigger(&self, event: &str) -> String {
        ident(&format!("{}_{event}", self.trigger))
    }
}

pub(super) fn create(triggers: &Triggers, plan: &Plan<'_>) -> String {
    let names = Names::of(triggers, plan.table);
    let Names { table, function, .. } = &names;
    let schema = triggers.outbox.schema();
    let checks = plan.table.columns.iter().zip(&plan.kinds).map(|(column, kind)| {
        format!(
            "  PERFORM {schema}.check_column({}, {}, {}, '{}');\n",
            literal(table),
            literal(column.field),
            literal(column.name),
            kind.name()
        )
    });
    let made = EVENTS.map(|(when, event, rows)| {
        let trigger = names.trigger(event);
        format!(
            "  CREATE OR REPLACE TRIGGER {trigger} {when} ON {table}\n   {rows} \
             FOR EACH STATEMENT EXECUTE FUNCTION {function}();\n"
        )
    });
    let body = format!(
        "BEGIN
  {lock}
{checks}
  -- As its owner, so that whoever may write the table need not be let into the outbox.
  CREATE OR REPLACE FUNCTION {function}() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {function_body};

{made}END
",
        lock = triggers.outbox.lock(),
        checks = checks.collect::<String>(),
        function_body = dollars("body", &function_body(&schema, plan)),
        made = made.concat(),
    );
    format!(
        "-- The tags of {} for fragkeys-postgres.\nDO {};\n",
        comment(triggers.type_name),
        dollars("fragkeys", &body)
    )
}

pub(super) fn drop(triggers: &Triggers, table: &TableInfo) -> String {
    let names = Names::of(triggers, table);
    let dropped = EVENTS.map(|(_, event, _)| {
        format!("  DROP TRIGGER IF EXISTS {} ON {};\n", names.trigger(event), names.table)
    });
    let body = format!(
        "BEGIN\n  {}\n{}  DROP FUNCTION IF EXISTS {}();\nEND\n",
        triggers.outbox.lock(),
        dropped.concat(),
        names.function
    );
    format!("DO {};\n", dollars("fragkeys", &body))
}

/// What a trigger does: one `INSERT` for all rows of a statement, each tag once.
fn function_body(schema: &str, plan: &Plan<'_>) -> String {
    // Named with their tables: else one that is called like a variable would be taken for both.
    let columns = |rows: &str| {
        let columns = plan.table.columns.iter();
        columns.map(|it| format!("{rows}.{}", ident(it.name))).collect::<Vec<_>>().join(", ")
    };
    let (old, new) = (columns("fragkeys_old"), columns("fragkeys_new"));
    let into = format!("INSERT INTO {schema}.outbox (tag)");
    let select = "SELECT DISTINCT t.tag FROM";
    let tags = plan.tags.iter().map(|tag| format!("        ({})", value(schema, plan, tag)));
    let tags = format!(
        "CROSS JOIN LATERAL (VALUES\n{}\n      ) AS t (tag) WHERE t.tag <> ''",
        tags.collect::<Vec<_>>().join(",\n")
    );
    let truncated =
        [dollars("sql", &format!("{into} {select} ")), dollars("sql", &format!(" AS r {tags}\n"))];
    let [before, after] = &truncated;
    format!(
        "DECLARE
  size bigint;
BEGIN
  IF TG_OP = 'INSERT' THEN
    {into} {select} fragkeys_new AS r
      {tags};
  ELSIF TG_OP = 'UPDATE' THEN
    {into} {select} (
        SELECT {old} FROM fragkeys_old UNION ALL SELECT {new} FROM fragkeys_new
      ) AS r
      {tags};
  ELSIF TG_OP = 'DELETE' THEN
    {into} {select} fragkeys_old AS r
      {tags};
  ELSE
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %I.%I LIMIT {beyond}) AS r', TG_TABLE_SCHEMA, TG_TABLE_NAME)
      INTO size;
    -- TRUNCATE also takes rows that a snapshot of before does not show, or a policy hides.
    IF size > {MOST_TRUNCATED} OR row_security_active(TG_RELID)
      OR current_setting('transaction_isolation') NOT LIKE 'read %' THEN
      {into} VALUES ('*');
    ELSE
      EXECUTE {before} || format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME) || {after};
      GET DIAGNOSTICS size = ROW_COUNT;
      IF size = 0 THEN
        RETURN NULL;
      END IF;
    END IF;
    PERFORM {schema}.wake();
    RETURN NULL;
  END IF;
  IF FOUND THEN
    PERFORM {schema}.wake();
  END IF;
  RETURN NULL;
END
",
        beyond = MOST_TRUNCATED + 1,
    )
}

/// The text of a tag as an expression; `NULL` if there is none.
fn value(schema: &str, plan: &Plan<'_>, tag: &RowTag) -> String {
    let parts: &[RowTagPart] = match tag {
        RowTag::Columns(parts) => parts,
        // No plan has any others.
        RowTag::Fixed(tag) => return format!("{} COLLATE \"C\"", literal(&tag.to_string())),
        _ => &[],
    };
    let texts: Vec<String> = parts.iter().map(|part| text(schema, plan, part)).collect();
    let text = texts.join(" || ");
    let may_begin_otherwise = match parts.first() {
        Some(RowTagPart::Text(text)) => text.starts_with(['=', '@', '~', '*']),
        _ => true,
    };
    if may_begin_otherwise {
        format!("{schema}.tag({text}) COLLATE \"C\"")
    } else {
        format!("({text}) COLLATE \"C\"")
    }
}

fn text(schema: &str, plan: &Plan<'_>, part: &RowTagPart) -> String {
    let RowTagPart::Column(index) = part else {
        return match part {
            RowTagPart::Text(text) => literal(text),
            _ => "NULL".to_owned(),
        };
    };
    let column = plan.table.columns.get(*index).map_or_else(String::new, |it| ident(it.name));
    // The text of a column with a collation of its own could not be searched.
    match plan.kinds.get(*index) {
        Some(kind) if kind.needs_escapes() => {
            format!("{schema}.segment(r.{column}::text COLLATE \"C\")")
        }
        _ => format!("r.{column}::text"),
    }
}
