//! Attribute tokens to options: syntax only, and every option keeps its tokens.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Expr, Token, Type};

use crate::diag::{Mistakes, did_you_mean, list};

/// What was written, each option at most once.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) timeout: Option<Expr>,
    pub(crate) tags: Option<Expr>,
    pub(crate) vary_on: Option<Expr>,
    pub(crate) version: Option<Expr>,
    pub(crate) key_name: Option<Expr>,
    pub(crate) cache_name: Option<Expr>,
    pub(crate) cache_if: Option<Expr>,
    pub(crate) jitter: Option<Expr>,
    pub(crate) codec: Option<Type>,
}

/// Each option with an example of it, for messages.
const EXAMPLES: [(&str, &str); 9] = [
    ("timeout", "timeout = 3600"),
    ("tags", "tags = [\"User:<user_id>\"]"),
    ("vary_on", "vary_on = [user_id]"),
    ("version", "version = 2"),
    ("key_name", "key_name = \"profile\""),
    ("cache_name", "cache_name = \"sessions\""),
    ("cache_if", "cache_if = |value| !value.is_empty()"),
    ("jitter", "jitter = 0.1"),
    ("codec", "codec = fragkeys::Json"),
];

/// How an option is written: an example, in quotes.
pub(crate) fn example(option: &str) -> String {
    let found = EXAMPLES.iter().find(|(name, _)| *name == option);
    format!("`{}`", found.map_or(option, |(_, example)| example))
}

impl Options {
    pub(crate) fn parse(tokens: TokenStream, mistakes: &mut Mistakes) -> Options {
        let parse = |input: ParseStream<'_>| {
            let mut options = Options::default();
            while !input.is_empty() {
                let mut parsed = options.parse_one(input);
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

    fn parse_one(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        let names = EXAMPLES.map(|(name, _)| name);
        let Ok(name) = input.call(Ident::parse_any) else {
            let message = format!(
                "expected an option, such as {}; the options are {}",
                example("timeout"),
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
        let equals: Option<Token![=]> = input.parse()?;
        if equals.is_none() || input.is_empty() || input.peek(Token![,]) {
            let message = format!("`{written}` needs a value, as in {}", example(&written));
            return Err(syn::Error::new(name.span(), message));
        }
        match written.as_str() {
            "timeout" => set(&mut self.timeout, &name, input.parse()?),
            "tags" => set(&mut self.tags, &name, input.parse()?),
            "vary_on" => set(&mut self.vary_on, &name, input.parse()?),
            "version" => set(&mut self.version, &name, input.parse()?),
            "key_name" => set(&mut self.key_name, &name, input.parse()?),
            "cache_name" => set(&mut self.cache_name, &name, input.parse()?),
            "cache_if" => set(&mut self.cache_if, &name, input.parse()?),
            "jitter" => set(&mut self.jitter, &name, input.parse()?),
            _ => set(&mut self.codec, &name, codec(input)?),
        }
    }
}

/// `syn` would list the tokens that a type can begin with.
fn codec(input: ParseStream<'_>) -> syn::Result<Type> {
    let span = input.span();
    input.parse().map_err(|_| {
        syn::Error::new(span, format!("`codec` takes a type, as in {}", example("codec")))
    })
}

fn set<T>(option: &mut Option<T>, name: &Ident, value: T) -> syn::Result<()> {
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
