//! No lint fires on the code that is generated for a model.
#![forbid(unsafe_code, unused_imports)]
#![deny(warnings, missing_docs, unreachable_pub)]
#![deny(unused, unused_qualifications, single_use_lifetimes, unreachable_code)]
#![deny(rust_2018_idioms, future_incompatible, nonstandard_style, let_underscore)]
#![deny(trivial_casts, trivial_numeric_casts, variant_size_differences, unused_results)]
#![deny(elided_lifetimes_in_paths, explicit_outlives_requirements, unit_bindings)]
#![deny(missing_copy_implementations, missing_debug_implementations, redundant_lifetimes)]
#![deny(unused_lifetimes, unused_import_braces, unused_macro_rules, meta_variable_misuse)]
#![deny(non_local_definitions, missing_abi, keyword_idents, absolute_paths_not_starting_with_crate)]

use std::fmt::{Debug, Display};

use fragkeys::{Change, Tag, TaggedModel};

/// A donation.
#[derive(Clone, Debug, TaggedModel)]
#[tagged_model(
    name = "Donations",
    scopes = ["Donations:org:<organization_id>", "Donations:user:<user_id>", Tag::global(&self.note)],
    on_create = |donation| donation.scopes(),
    on_update = moved,
    on_delete = |donation| donation.id.map(|id| Tag::new("Gone", id))
)]
pub struct Donation {
    /// Its key.
    pub id: Option<u64>,
    /// To whom.
    pub organization_id: u64,
    /// From whom.
    pub user_id: Option<String>,
    /// Words.
    pub note: String,
}

fn moved(donation: &Donation, change: &Change<'_, Donation>) -> Vec<Tag> {
    change.old().map(Donation::tags).unwrap_or_else(|| donation.tags())
}

/// Of two columns, borrowed, generic.
#[derive(Clone, Copy, Debug, TaggedModel)]
#[tagged_model(key = (tenant, row.0), scopes = ["Row:tenant:<tenant>"])]
pub struct Row<'a, T: ?Sized, const N: usize = 1>
where
    T: Display + Debug,
{
    tenant: &'a T,
    row: (usize,),
}

/// A name like a field.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, TaggedModel)]
#[tagged_model(key = r#type, scopes = ["Kind:<type>"])]
pub struct r#match {
    r#type: u64,
}

/// One that nobody uses any more, and of which no field is read otherwise.
#[derive(Clone, Copy, Debug, TaggedModel)]
#[tagged_model(key = old, scopes = ["Old:<old>"])]
#[deprecated]
pub struct Old {
    #[deprecated]
    old: u64,
}

fn main() {
    let donation = Donation { id: Some(1), organization_id: 2, user_id: None, note: "x".into() };
    drop(donation.invalidate());
    let row: Row<'_, str> = Row { tenant: "a", row: (1,) };
    drop(row.invalidate());
    drop(Row::<'_, str, 7>::invalidate_key(("a", 1)));
    drop(r#match { r#type: 1 }.invalidate());
}
