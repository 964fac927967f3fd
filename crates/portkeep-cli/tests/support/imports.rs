//! Who imports whom among the modules of a crate, and the circles in that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemMod, ItemUse, Macro, UseTree};

/// A module by its path in the crate; the crate itself has an empty one.
pub(crate) type Module = Vec<String>;

/// The modules of a crate, and those that each of them imports. A module is a file. What is re-exported is imported from where
/// it is defined; tests do not count, and neither does `mod child;` alone.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    modules: BTreeMap<Module, Parsed>,
}

#[derive(Debug, Default)]
struct Parsed {
    /// Names that `use` brings in, with what they stand for.
    names: BTreeMap<String, Vec<String>>,
    /// Every path that is written anywhere.
    paths: BTreeSet<Vec<String>>,
}

impl Imports {
    /// Reads the files below `source`, the `src` of a crate.
    pub(crate) fn of(source: &Path) -> Self {
        let mut imports = Self::default();
        for root in ["lib.rs", "main.rs"] {
            if source.join(root).exists() {
                imports.read(&source.join(root), source, Vec::new());
            }
        }
        imports
    }

    fn read(&mut self, file: &Path, directory: &Path, module: Module) {
        let text = fs::read_to_string(file).unwrap();
        let parsed: File = syn::parse_file(&text)
            .unwrap_or_else(|error| panic!("cannot parse {}: {error}", file.display()));
        let mut reader = Reader::default();
        reader.visit_file(&parsed);
        self.modules.insert(module.clone(), reader.parsed);
        for item in parsed.items {
            let Item::Mod(ItemMod {
                attrs,
                ident,
                content: None,
                ..
            }) = item
            else {
                continue;
            };
            let child = [module.clone(), vec![ident.to_string()]].concat();
            let below = directory.join(ident.to_string());
            let candidates = [below.with_extension("rs"), below.join("mod.rs")];
            let found = candidates.iter().find(|path| path.exists());
            if let (false, Some(path)) = (is_test(&attrs), found) {
                self.read(path, &below, child);
            }
        }
    }

    /// Those that a module imports.
    fn of_module(&self, module: &Module) -> BTreeSet<Module> {
        let paths = self.modules[module].paths.iter();
        let found = paths.filter_map(|path| self.resolve(&self.absolute(module, path)?, 0));
        found.filter(|other| other != module).collect()
    }

    /// A path from the crate's root; nothing for what is no module's of this crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" => return Some([module.clone(), rest.to_vec()].concat()),
            "super" => {
                let (_, above) = module.split_last()?;
                let above = above.to_vec();
                return match rest.first().map(String::as_str) {
                    Some("super") => self.absolute(&above, rest),
                    _ => Some([above, rest.to_vec()].concat()),
                };
            }
            _ => {}
        }
        let child = [module.clone(), vec![first.clone()]].concat();
        self.modules
            .contains_key(&child)
            .then(|| [child, rest.to_vec()].concat())
    }

    /// The module that defines what an absolute path names.
    fn resolve(&self, path: &[String], depth: usize) -> Option<Module> {
        let mut module = Module::new();
        let mut rest = path;
        while let Some((first, more)) = rest.split_first() {
            let child = [module.clone(), vec![first.clone()]].concat();
            if !self.modules.contains_key(&child) {
                break;
            }
            (module, rest) = (child, more);
        }
        let exported = rest
            .first()
            .and_then(|name| self.modules.get(&module)?.names.get(name))
            .and_then(|path| self.absolute(&module, path));
        match exported {
            Some(exported) if depth < 16 => {
                self.resolve(&[exported, rest[1..].to_vec()].concat(), depth + 1)
            }
            _ => self.modules.contains_key(&module).then_some(module),
        }
    }

    /// Modules that import each other, directly or by others in between. A circle is told once, in order.
    pub(crate) fn circles(&self) -> Vec<BTreeSet<Module>> {
        let direct: BTreeMap<_, _> = self
            .modules
            .keys()
            .map(|module| (module.clone(), self.of_module(module)))
            .collect();
        let reach: BTreeMap<_, _> = direct
            .keys()
            .map(|module| (module.clone(), reached(module, &direct)))
            .collect();
        let circle = |module: &Module| -> BTreeSet<Module> {
            let reached = reach[module].iter();
            let back = reached.filter(|other| reach[*other].contains(module));
            back.cloned().collect()
        };
        let circles: BTreeSet<_> = direct.keys().map(circle).collect();
        circles.into_iter().filter(|one| !one.is_empty()).collect()
    }
}

/// What a module imports, and what that imports, and so on.
fn reached(module: &Module, direct: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<Module> {
    let mut reached = BTreeSet::new();
    let mut pending: Vec<_> = direct[module].iter().collect();
    while let Some(next) = pending.pop() {
        if reached.insert(next.clone()) {
            pending.extend(&direct[next]);
        }
    }
    reached
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        let condition = attribute.parse_args::<syn::Path>();
        is_cfg && condition.is_ok_and(|condition| condition.is_ident("test"))
    })
}

/// Collects the paths of a file.
#[derive(Debug, Default)]
struct Reader {
    parsed: Parsed,
}

impl Reader {
    fn bring_in(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: String| [before.to_vec(), vec![name]].concat();
        match tree {
            UseTree::Path(path) => self.bring_in(&with(path.ident.to_string()), &path.tree),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.bring_in(before, tree);
                }
            }
            UseTree::Glob(_) => {
                self.parsed.paths.insert(before.to_vec());
            }
            UseTree::Name(name) => self.name(before, &name.ident.to_string(), None),
            UseTree::Rename(name) => {
                let to = name.rename.to_string();
                self.name(before, &name.ident.to_string(), Some(to));
            }
        }
    }

    fn name(&mut self, before: &[String], name: &str, renamed: Option<String>) {
        let path = match name {
            "self" => before.to_vec(),
            name => [before.to_vec(), vec![name.to_owned()]].concat(),
        };
        let name = renamed.or_else(|| path.last().cloned()).unwrap_or_default();
        self.parsed.names.insert(name, path.clone());
        self.parsed.paths.insert(path);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.bring_in(&[], &item.tree);
    }

    // `pub(in crate::module)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // One name alone is no module's.
        if path.segments.len() > 1 {
            let names = path.segments.iter().map(|one| one.ident.to_string());
            self.parsed.paths.insert(names.collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, one: &'ast Macro) {
        // What a macro takes need not be an expression: only paths that name their beginning are looked for.
        let text = one.tokens.to_string();
        let words: Vec<_> = text.split_whitespace().collect();
        for (at, word) in words.iter().enumerate() {
            if ["crate", "super", "self"].contains(word) && words.get(at + 1) == Some(&"::") {
                let path = words[at..]
                    .chunks(2)
                    .take_while(|pair| pair.get(1) == Some(&"::"))
                    .map(|pair| pair[0].to_owned());
                self.parsed.paths.insert(path.collect());
            }
        }
        visit::visit_macro(self, one);
    }
}
