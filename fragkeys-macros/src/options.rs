//! Attribute tokens to options: syntax only, and every option keeps its tokens.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Expr, ExprArray, ExprLit, Lit, LitStr, Token, Type};

use crate::diag::{Mistakes, did_you_mean, list};
use crate::model::{GraceOptions, LateOptions};

/// What was written in `#[tagged_cache(..)]`, each option at most once.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) timeout: Option<Expr>,
    pub(crate) timeout_none: Option<Expr>,
    pub(crate) tags: Option<Expr>,
    pub(crate) vary_on: Option<Expr>,
    pub(crate) version: Option<Expr>,
    pub(crate) key_name: Option<Expr>,
    pub(crate) cache_name: Option<Expr>,
    pub(crate) cache_if: Option<Expr>,
    pub(crate) late_tags: LateOptions,
    pub(crate) cache_err: Option<Expr>,
    pub(crate) jitter: Option<Expr>,
    pub(crate) grace: GraceOptions,
    pub(crate) near: Option<Expr>,
    pub(crate) lease: Option<Expr>,
    pub(crate) codec: Option<Type>,
    pub(crate) batch: Option<BatchOption>,
}

/// `batch`, `batch = id` or `batch = id in ids`.
pub(crate) struct BatchOption {
    pub(crate) span: Span,
    pub(crate) element: Option<Ident>,
    pub(crate) argument: Option<Ident>,
}

/// Options of one attribute: their names, and where each is kept.
pub(crate) trait OptionSet: Default {
    /// Each option with an example of it, for messages.
    const EXAMPLES: &'static [(&'static str, &'static str)];

    /// Those that may stand without a value.
    const FLAGS: &'static [&'static str] = &[];

    /// Keeps the value of one of these options; of a flag there may be none.
    fn keep(&mut self, name: &Ident, value: ParseStream<'_>) -> syn::Result<()>;
}

impl OptionSet for Options {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("timeout", "timeout = 3600"),
        ("timeout_none", "timeout_none = 60"),
        ("tags", "tags = [\"User:<user_id>\"]"),
        ("vary_on", "vary_on = [user_id]"),
        ("version", "version = 2"),
        ("key_name", "key_name = \"profile\""),
        ("cache_name", "cache_name = \"sessions\""),
        ("cache_if", "cache_if = |value| !value.is_empty()"),
        (
            "tags_from",
            "tags_from = |page: &Page| page.items.iter().map(|item| Tag::new(\"Item\", item.id))",
        ),
        ("inherit_tags", "inherit_tags"),
        ("early_cutoff", "early_cutoff"),
        ("cache_err", "cache_err = |error| error.is_not_found().then_some(Duration::from_secs(5))"),
        ("jitter", "jitter = 0.1"),
        ("stale_while_revalidate", "stale_while_revalidate = 60"),
        ("stale_if_error", "stale_if_error = 86_400"),
        ("soft_timeout", "soft_timeout = Duration::from_millis(200)"),
        ("hard_timeout", "hard_timeout = 5"),
        ("refresh_ahead", "refresh_ahead = 0.1"),
        ("background", "background = false"),
        ("near", "near = false"),
        ("lease", "lease = false"),
        ("codec", "codec = fragkeys::Json"),
        ("batch", "batch = id"),
    ];

    const FLAGS: &'static [&'static str] = &["batch", "inherit_tags", "early_cutoff"];

    fn keep(&mut self, name: &Ident, value: ParseStream<'_>) -> syn::Result<()> {
        match name.to_string().as_str() {
            "timeout" => set(&mut self.timeout, name, value.parse()?),
            "timeout_none" => set(&mut self.timeout_none, name, value.parse()?),
            "tags" => set(&mut self.tags, name, value.parse()?),
            "vary_on" => set(&mut self.vary_on, name, value.parse()?),
            "version" => set(&mut self.version, name, value.parse()?),
            "key_name" => set(&mut self.key_name, name, value.parse()?),
            "cache_name" => set(&mut self.cache_name, name, value.parse()?),
            "cache_if" => set(&mut self.cache_if, name, value.parse()?),
            "tags_from" => set(&mut self.late_tags.tags_from, name, value.parse()?),
            "inherit_tags" => set(&mut self.late_tags.inherit_tags, name, alone(name, value)?),
            "early_cutoff" => set(&mut self.late_tags.early_cutoff, name, alone(name, value)?),
            "cache_err" => set(&mut self.cache_err, name, value.parse()?),
            "jitter" => set(&mut self.jitter, name, value.parse()?),
            "stale_while_revalidate" => set(&mut self.grace.while_revalidate, name, value.parse()?),
            "stale_if_error" => set(&mut self.grace.if_error, name, value.parse()?),
            "soft_timeout" => set(&mut self.grace.soft_timeout, name, value.parse()?),
            "hard_timeout" => set(&mut self.grace.hard_timeout, name, value.parse()?),
            "refresh_ahead" => set(&mut self.grace.refresh_ahead, name, value.parse()?),
            "background" => set(&mut self.grace.background, name, value.parse()?),
            "near" => set(&mut self.near, name, value.parse()?),
            "lease" => set(&mut self.lease, name, value.parse()?),
            "codec" => set(&mut self.codec, name, codec(value)?),
            _ => set(&mut self.batch, name, batch(name, value)?),
        }
    }
}

/// How an option is written: an example, in quotes.
pub(crate) fn example<O: OptionSet>(option: &str) -> String {
    let found = O::EXAMPLES.iter().find(|(name, _)| *name == option);
    format!("`{}`", found.map_or(option, |(_, example)| example))
}

/// Reads options; what cannot be read is a mistake, and the others are read all the same.
pub(crate) fn parse<O: OptionSet>(tokens: TokenStream, mistakes: &mut Mistakes) -> O {
    let parse = |input: ParseStream<'_>| {
        let mut options = O::default();
        while !input.is_empty() {
            let mut parsed = parse_one(&mut options, input);
            if parsed.is_ok() && !input.is_empty() && !input.peek(Token![,]) {
                parsed = Err(input.error("expected `,` between two options"));
            }
            if let Err(error) = parsed {
                mistakes.add(error);
                skip_option(input);
            }
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(options)
    };
    let parsed = parse.parse2(tokens);
    mistakes.keep(parsed).unwrap_or_default()
}

fn parse_one<O: OptionSet>(options: &mut O, input: ParseStream<'_>) -> syn::Result<()> {
    let names: Vec<&str> = O::EXAMPLES.iter().map(|(name, _)| *name).collect();
    let Ok(name) = input.call(Ident::parse_any) else {
        let message = format!(
            "expected an option, such as {}; the options are {}",
            names.first().map_or_else(String::new, |first| example::<O>(first)),
            list(&names)
        );
        return Err(input.error(message));
    };
    let written = name.to_string();
    if !names.contains(&written.as_str()) {
        let hint = did_you_mean(&written, &names)
            .unwrap_or_else(|| format!("the options are {}", list(&names)));
        let message = format!("unknown option `{written}`; {hint}");
        return Err(syn::Error::new(name.span(), message));
    }
    let is_alone = input.is_empty() || input.peek(Token![,]);
    if is_alone && O::FLAGS.contains(&written.as_str()) {
        return options.keep(&name, input);
    }
    let equals: Option<Token![=]> = input.parse()?;
    if equals.is_none() || input.is_empty() || input.peek(Token![,]) {
        let message = format!("`{written}` needs a value, as in {}", example::<O>(&written));
        return Err(syn::Error::new(name.span(), message));
    }
    options.keep(&name, input)
}

/// `syn` would list the tokens that a type can begin with.
fn codec(input: ParseStream<'_>) -> syn::Result<Type> {
    let span = input.span();
    input.parse().map_err(|_| {
        syn::Error::new(
            span,
            format!("`codec` takes a type, as in {}", example::<Options>("codec")),
        )
    })
}

/// An option that takes no value.
fn alone(name: &Ident, input: ParseStream<'_>) -> syn::Result<Ident> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(name.clone());
    }
    Err(input.error(format!("`{name}` stands alone; leave it off where it is not meant")))
}

/// How an element is called, and of which argument; nothing where the option stands alone.
fn batch(name: &Ident, input: ParseStream<'_>) -> syn::Result<BatchOption> {
    let mut option = BatchOption { span: name.span(), element: None, argument: None };
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(option);
    }
    let span = input.span();
    let mut read = || -> syn::Result<()> {
        option.element = Some(input.parse()?);
        if input.parse::<Option<Token![in]>>()?.is_some() {
            option.argument = Some(input.parse()?);
        }
        Ok(())
    };
    let is_read = read().is_ok() && (input.is_empty() || input.peek(Token![,]));
    is_read.then_some(option).ok_or_else(|| {
        let message = "`batch` stands alone, or takes a name for an element of the batch: \
                       `batch = id`, or `batch = id in ids`";
        syn::Error::new(span, message)
    })
}

pub(crate) fn set<T>(option: &mut Option<T>, name: &Ident, value: T) -> syn::Result<()> {
    if option.is_some() {
        let message = format!("`{name}` is given twice; keep one of them");
        return Err(syn::Error::new(name.span(), message));
    }
    *option = Some(value);
    Ok(())
}

/// Leaves out the rest of an option that could not be read, up to its comma.
fn skip_option(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}

/// The elements of an option that is a list.
pub(crate) fn elements<O: OptionSet>(option: &str, written: Expr) -> syn::Result<Vec<Expr>> {
    match ungrouped(written) {
        Expr::Array(ExprArray { elems, .. }) => Ok(elems.into_iter().map(ungrouped).collect()),
        other => {
            let message = format!("`{option}` takes a list, as in {}", example::<O>(option));
            Err(syn::Error::new_spanned(other, message))
        }
    }
}

/// An expression without the parentheses around it, and without the invisible ones in which a
/// `macro_rules!` fragment arrives: a template in them is a template still.
pub(crate) fn ungrouped(expression: Expr) -> Expr {
    match expression {
        Expr::Group(group) => ungrouped(*group.expr),
        Expr::Paren(paren) => ungrouped(*paren.expr),
        other => other,
    }
}

/// The text of an option that is a name.
pub(crate) fn name<O: OptionSet>(option: &str, written: Expr) -> syn::Result<LitStr> {
    match ungrouped(written) {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if text.value().is_empty() => {
            let message = format!("`{option}` is empty; leave it off for the default");
            Err(syn::Error::new(text.span(), message))
        }
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
        other => {
            let message =
                format!("`{option}` takes a literal string, as in {}", example::<O>(option));
            Err(syn::Error::new_spanned(other, message))
        }
    }
}
