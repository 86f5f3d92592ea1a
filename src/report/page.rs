//! The frame of a page: one file that asks nothing of any server.

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Nothing but what is in the page itself may be loaded or run.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// A part of a page that can be jumped to.
pub(super) struct Section {
    /// Its name in the address, of small letters.
    pub id: &'static str,
    pub title: &'static str,
    pub body: Markup,
}

/// A whole page.
pub(super) fn page(title: &str, introduction: &Markup, sections: &[Section]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="referrer" content="no-referrer";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#content" { "To the content" }
                header {
                    h1 { (title) }
                    button #theme type="button" hidden { "Dark" }
                    (introduction)
                    @if sections.len() > 1 {
                        nav aria-label="Sections" {
                            ul { @for section in sections { li { a href={ "#" (section.id) } { (section.title) } } } }
                        }
                    }
                }
                main #content {
                    @for section in sections {
                        section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                            h2 id={ (section.id) "-title" } { (section.title) }
                            (section.body)
                        }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// A chart with its title, and its numbers as a table.
pub(super) fn figure(title: &str, chart: &Markup, numbers: &Markup) -> Markup {
    html! {
        figure {
            figcaption { (title) }
            (chart)
            details { summary { "The numbers" } (numbers) }
        }
    }
}
