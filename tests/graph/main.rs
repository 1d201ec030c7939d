//! The page of `graph --format html` in a real browser: `make test-graph`.

// A test fails by panicking; `expect` says what it had hoped for.
#![allow(clippy::expect_used, clippy::panic)]

mod browser;
mod world;

use browser::Page;
use serde_json::{Value, json};
use world::{World, profile};

const SHOWN: &str = "[...document.querySelectorAll('#list li:not([hidden])')]\
     .map((item) => item.firstChild.firstChild.textContent)";
const DRAWN: &str = "[...document.querySelectorAll('#drawing g.node:not(.off) .name')]\
     .map((name) => name.textContent)";
const COUNT: &str = "document.getElementById('count').textContent";
const DETAILS: &str = "document.getElementById('details').innerText";
const FOCUS: &str = "document.activeElement.textContent || document.activeElement.id";

fn opened(world: &World) -> Page {
    Page::open(&world.page(), &profile(world))
}

/// Neither the script nor the policy complained, and nothing but the page itself was loaded.
fn assert_quiet(mut page: Page) {
    page.value("1");
    assert!(page.errors.is_empty(), "{:?}", page.errors);
    let foreign = page.loaded.iter().filter(|url| !url.starts_with("file:///var/tmp/oci-link-"));
    assert_eq!(foreign.collect::<Vec<_>>(), [""; 0]);
    assert_eq!(page.loaded.len(), 1, "{:?}", page.loaded);
}

fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value
        .as_array()
        .expect("names")
        .iter()
        .map(|name| name.as_str().expect("a name"))
        .collect();
    names.sort_unstable();
    names
}

#[test]
#[ignore = "needs chromium: make test-graph"]
fn containers_are_found_by_name_address_and_state() {
    let world = World::shop("filter");
    let mut page = opened(&world);
    assert_eq!(page.value(COUNT), "31 containers, 54 links");
    assert_eq!(page.value(SHOWN).as_array().map(Vec::len), Some(31));
    page.prefer("light");
    page.shoot("shop-light.png");

    page.press("/");
    page.write("WEB-");
    let webs = ["web-1", "web-2", "web-3"];
    assert_eq!(names(&page.value(SHOWN)), webs);
    assert_eq!(names(&page.value(DRAWN)), webs);
    assert_eq!(page.value(COUNT), "3 of 31 containers");
    page.shoot("shop-filtered.png");
    page.press("Escape");
    assert_eq!(page.value(COUNT), "31 containers, 54 links");
    page.write("10.0.0.5");
    assert_eq!(names(&page.value(SHOWN)), ["rabbit"]);
    page.press("Escape");
    for (state, expected) in [("dead", "mail"), ("waiting", "fallback")] {
        page.value(&format!(
            "(() => {{ const s = document.getElementById('state'); s.value = '{state}'; \
             s.dispatchEvent(new Event('change')); }})()"
        ));
        assert_eq!(names(&page.value(SHOWN)), [expected]);
    }
    assert_eq!(page.value("document.getElementById('hosts').hidden"), true, "there is one host");
    assert_quiet(page);
}

#[test]
#[ignore = "needs chromium: make test-graph"]
fn details_show_names_of_variables_and_no_value() {
    let world = World::shop("details");
    let mut page = opened(&world);
    page.press("/");
    page.write("users");
    page.press("ArrowDown");
    assert_eq!(page.value(FOCUS), "usersready");
    page.press("Enter");
    let details = page.value(DETAILS);
    let details = details.as_str().expect("text");
    for part in [
        "users",
        "ready",
        "10.0.0.",
        "8080/tcp",
        "mysql as db: 3306/tcp",
        "redis as cache",
        "api as users: 8080/tcp",
        "worker-1",
        "DB_PORT_3306_TCP_ADDR",
        "DB_ENV_LEVEL",
        "MODE",
    ] {
        assert!(details.contains(part), "{part}: {details}");
    }
    assert!(!details.contains("secret-value"), "{details}");
    let page_text = page.value("document.documentElement.outerHTML");
    assert!(!page_text.as_str().expect("text").contains("secret-value"));
    page.shoot("details-light.png");

    // A link of the details leads on, and so does a box of the drawing.
    page.click("#details button");
    assert_eq!(page.value("document.querySelector('#details h2').textContent"), "mysql");
    page.press("Escape");
    assert_eq!(page.value("document.querySelector('#details h2')"), Value::Null);
    page.press("Escape");
    page.click("#drawing g.node.dead");
    assert_eq!(page.value("document.querySelector('#details h2').textContent"), "mail");
    assert_eq!(page.value("document.querySelectorAll('.edge.picked').length"), 4);
    assert_quiet(page);
}

#[test]
#[ignore = "needs chromium: make test-graph"]
fn everything_can_be_done_by_keyboard() {
    let world = World::shop("keys");
    let mut page = opened(&world);
    // Tab leads through the tools to the list, in which one entry is a stop.
    let mut stops = Vec::new();
    for _ in 0..9 {
        page.press("Tab");
        stops.push(page.value(FOCUS));
    }
    let stops: Vec<&str> = stops.iter().map(|stop| stop.as_str().expect("text")).collect();
    assert!(stops[0].starts_with("search") && stops[1].starts_with("all"), "{stops:?}");
    assert_eq!(stops[2..8], ["Dark", "adminready", "\u{2212}", "Fit", "+", stops[7]], "{stops:?}");
    page.press("/");
    page.press("Enter");
    assert_eq!(page.value(FOCUS), "adminready");
    page.press("End");
    assert_eq!(page.value(FOCUS), "fallbackwaiting");
    page.press("ArrowUp");
    page.press("Enter");
    assert_eq!(page.value("document.querySelector('#details h2').textContent"), "worker-4");
    assert_eq!(page.value("document.querySelector('[aria-current]').textContent"), "worker-4ready");
    let width = "Number(document.querySelector('#drawing svg').getAttribute('width'))";
    page.press("0");
    let before = page.value(width).as_f64().expect("a number");
    page.press("+");
    assert!(page.value(width).as_f64().expect("a number") > before * 1.2);
    page.press("0");
    assert_eq!(page.value(width).as_f64(), Some(before));
    // Each control has a name for a screen reader.
    let nameless = "[...document.querySelectorAll('button, input, select')].filter((control) => \
         !(control.textContent.trim() || control.ariaLabel || control.labels?.length)).length";
    assert_eq!(page.value(nameless), 0);
    assert_quiet(page);
}

#[test]
#[ignore = "needs chromium: make test-graph"]
fn dark_and_light_can_be_preferred_and_switched() {
    let world = World::shop("dark");
    let mut page = opened(&world);
    let paper = "getComputedStyle(document.body).backgroundColor";
    let is_dark = "document.getElementById('theme').getAttribute('aria-pressed')";
    for (scheme, color, pressed) in
        [("light", "rgb(255, 255, 255)", "false"), ("dark", "rgb(15, 23, 42)", "true")]
    {
        page.prefer(scheme);
        page.await_value(is_dark, &json!(pressed));
        assert_eq!(page.value(paper), color);
    }
    page.click("#drawing g.node:last-child");
    page.shoot("shop-dark.png");
    page.click("#theme");
    assert_eq!([page.value(paper), page.value(is_dark)], ["rgb(255, 255, 255)", "false"]);
    page.click("#theme");
    assert_eq!([page.value(paper), page.value(is_dark)], ["rgb(15, 23, 42)", "true"]);
    page.size(420, 800);
    page.shoot("narrow-dark.png");
    // Text is legible: contrast of at least 4.5.
    let contrasts = page.value(CONTRASTS);
    for contrast in contrasts.as_array().expect("numbers") {
        assert!(contrast[1].as_f64().expect("a number") >= 4.5, "{contrasts}");
    }
    assert_quiet(page);
}

/// The contrast of the text of some elements to the page, by the formula of WCAG.
const CONTRASTS: &str = "(() => {\
     const light = (color) => { const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((part) => {\
       const c = part / 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });\
       return 0.2126 * r + 0.7152 * g + 0.0722 * b; };\
     const ratio = (a, b) => (Math.max(light(a), light(b)) + .05) / (Math.min(light(a), light(b)) + .05);\
     const paper = getComputedStyle(document.body).backgroundColor;\
     return ['#made', '#count', '.hint', 'h1', '.state.dead', '.state.waiting'].map((selector) =>\
       [selector, ratio(getComputedStyle(document.querySelector(selector)).color, paper)]);\
     })()";

/// Names of containers are checked, so that records with such names are put aside. The unit test
/// `hostile_text_comes_out_harmless` renders them; variables may have any name.
#[test]
#[ignore = "needs chromium: make test-graph"]
fn text_of_containers_is_no_markup() {
    let mut world = World::new("markup");
    let evil = "A</script><img>";
    world.add("db", 80, &[]);
    world.variables("db", &[&format!("{evil}=1"), "B<b>=2"]);
    world.add("web", 80, &["db"]);
    let mut page = opened(&world);
    let title = page.value("document.title");
    page.press("/");
    page.press("Enter");
    page.press("Enter");
    assert_eq!(page.value("document.querySelectorAll('img, b').length"), 0);
    assert_eq!(page.value("document.title"), title);
    let details = page.value(DETAILS);
    assert!(details.as_str().expect("text").contains(evil), "{details}");
    assert_quiet(page);
}

#[test]
#[ignore = "needs chromium: make test-graph"]
fn with_several_hosts_there_is_a_filter_for_them() {
    let mut world = World::new("hosts");
    let config =
        "[cluster]\nname = \"a\"\nnetworks = { a = [\"10.0.0.0/16\"], b = [\"10.1.0.0/16\"] }\n";
    std::fs::write(world.path("config.toml"), config).expect("written");
    world.add("db", 80, &[]);
    world.add("web", 80, &["db", "queue@b:q"]);
    let mut page = opened(&world);
    assert_eq!(page.value("document.getElementById('hosts').hidden"), false);
    for (host, expected) in [("a", &["db", "web"][..]), ("b", &["queue@b"])] {
        page.value(&format!(
            "(() => {{ const s = document.getElementById('host'); s.value = '{host}'; \
             s.dispatchEvent(new Event('change')); }})()"
        ));
        assert_eq!(names(&page.value(SHOWN)), expected);
    }
    page.press("/");
    page.press("Enter");
    page.press("Enter");
    let details = page.value(DETAILS);
    assert!(details.as_str().expect("text").contains("Host\nb"), "{details}");
    assert_quiet(page);
}

#[test]
#[ignore = "needs chromium: make test-graph"]
fn five_hundred_containers_can_be_searched() {
    let mut world = World::new("many");
    for at in 0..20 {
        world.add(&format!("db-{at}"), 5432, &[]);
    }
    for at in 0..480 {
        let links = [format!("db-{}:db", at % 20), format!("db-{}:other", (at * 7 + 3) % 20)];
        world.add(&format!("app-{at}"), 80, &[&links[0], &links[1]]);
    }
    let mut page = opened(&world);
    assert_eq!(page.value(COUNT), "500 containers, 960 links");
    page.shoot("many.png");
    page.press("/");
    page.write("app-47");
    assert_eq!(page.value(SHOWN).as_array().map(Vec::len), Some(11));
    page.press("ArrowDown");
    page.press("Enter");
    assert_eq!(page.value("document.querySelector('#details h2').textContent"), "app-47");
    // The chosen box is in view.
    let in_view = "(() => { const b = document.querySelector('.node.picked').getBoundingClientRect(); \
         const d = document.getElementById('drawing').getBoundingClientRect(); \
         return b.top >= d.top && b.bottom <= d.bottom && b.left >= d.left && b.right <= d.right; })()";
    assert_eq!(page.value(in_view), json!(true));
    page.shoot("many-picked.png");
    let spent = page.value(
        "(() => { const s = document.getElementById('search'); const begun = performance.now(); \
         for (const text of ['a', 'ap', 'app', 'app-1', '']) { s.value = text; \
         s.dispatchEvent(new Event('input')); } return performance.now() - begun; })()",
    );
    println!("five searches among 500: {spent} ms");
    assert_quiet(page);
}
