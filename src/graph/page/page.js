
"use strict";
(() => {
  const { containers, links } = JSON.parse(document.getElementById("data").textContent);
  const get = (id) => document.getElementById(id);
  const svg = document.querySelector("#drawing svg");
  const nodes = [...svg.querySelectorAll("g.node")];
  const edges = [...svg.querySelectorAll("g.edge")];
  const [search, state, host, list, details] = ["search", "state", "host", "list", "details"].map(get);
  let picked = -1;

  // Text of containers is only ever set as text.
  const make = (tag, text, properties) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    return Object.assign(element, properties);
  };
  const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

  const options = (select, key) => {
    const values = [...new Set(containers.map((container) => container[key]))].filter(Boolean).sort();
    values.forEach((value) => select.append(make("option", value, { value })));
    return values;
  };
  options(state, "state");
  get("hosts").hidden = options(host, "host").length < 2;

  const buttons = containers.map((container, at) => {
    const button = make("button", undefined, { type: "button", tabIndex: -1 });
    button.append(make("span", container.name));
    button.append(make("span", container.state, { className: `state ${container.state}` }));
    button.addEventListener("click", () => pick(at));
    const item = make("li");
    item.append(button);
    list.append(item);
    return button;
  });

  const words = () => search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const isShown = (container, wanted) => {
    const text = [container.name, container.id, ...container.addresses].join("\n").toLowerCase();
    return wanted.every((word) => text.includes(word))
      && (!state.value || container.state === state.value)
      && (!host.value || container.host === host.value);
  };

  const visible = () => buttons.filter((button) => !button.parentElement.hidden);
  // One button of the list can be reached by Tab; the arrows go on from there.
  const rove = (button) => {
    buttons.forEach((other) => { other.tabIndex = other === button ? 0 : -1; });
  };

  const filter = () => {
    const wanted = words();
    const shown = containers.map((container) => isShown(container, wanted));
    shown.forEach((is, at) => {
      buttons[at].parentElement.hidden = !is;
      nodes[at].classList.toggle("off", !is);
    });
    links.forEach((link, at) => {
      edges[at].classList.toggle("off", !shown[link.recipient] && !shown[link.source]);
    });
    const count = shown.filter(Boolean).length;
    get("count").textContent = count === containers.length
      ? `${counted(count, "container")}, ${counted(links.length, "link")}`
      : `${count} of ${counted(containers.length, "container")}`;
    const current = picked >= 0 && shown[picked] ? buttons[picked] : visible()[0];
    rove(current);
  };

  const section = (title, entries) => {
    if (entries.length === 0) return;
    details.append(make("h3", title));
    const items = make("ul");
    entries.forEach((entry) => {
      const item = make("li");
      item.append(...(Array.isArray(entry) ? entry : [make("code", entry)]));
      items.append(item);
    });
    details.append(items);
  };
  const leadsTo = (at) => {
    const button = make("button", containers[at].name, { type: "button" });
    button.addEventListener("click", () => pick(at));
    return button;
  };

  const describe = (at) => {
    details.replaceChildren();
    if (at < 0) {
      details.append(make("p", "Choose a container in the list or in the drawing.", { className: "hint" }));
      return;
    }
    const container = containers[at];
    details.append(make("h2", container.name));
    details.append(make("p", container.state, { className: `state ${container.state}` }));
    const own = links.filter((link) => link.recipient === at);
    const by = links.filter((link) => link.source === at);
    section("Id", container.id ? [container.id] : []);
    section("Host", container.host ? [container.host] : []);
    section("Addresses", container.addresses);
    section("Exposed ports", container.ports);
    section("Linked to", own.map((link) => [leadsTo(link.source), ` as ${link.alias}: ${link.what}`]));
    section("Linked by", by.map((link) => [leadsTo(link.recipient), ` as ${link.alias}: ${link.what}`]));
    section("Variables of its links (names)", container.gets);
    section("Variables for its recipients (names)", container.gives);
  };

  const pick = (at) => {
    picked = at;
    const near = new Set([at]);
    links.forEach((link, number) => {
      const is = link.recipient === at || link.source === at;
      ["picked", "near"].forEach((name) => edges[number].classList.toggle(name, is));
      if (is) near.add(link.recipient).add(link.source);
    });
    nodes.forEach((node, number) => {
      node.classList.toggle("picked", number === at);
      node.classList.toggle("near", near.has(number));
    });
    buttons.forEach((button, number) => {
      if (number === at) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
    describe(at);
    if (at < 0) return;
    rove(buttons[at]);
    buttons[at].scrollIntoView({ block: "nearest" });
    nodes[at].scrollIntoView({ block: "center", inline: "center" });
  };

  const size = [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height];
  let scale = 1;
  const zoom = (to) => {
    scale = Math.min(4, Math.max(0.05, to));
    svg.setAttribute("width", size[0] * scale);
    svg.setAttribute("height", size[1] * scale);
  };
  const fitting = () => Math.min(1, (get("drawing").clientWidth - 16) / size[0]);
  const fit = () => zoom(fitting());

  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const showTheme = () => get("theme").setAttribute("aria-pressed", String(isDark()));
  get("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  dark.addEventListener("change", showTheme);

  nodes.forEach((node, at) => node.addEventListener("click", () => pick(at)));
  search.addEventListener("input", filter);
  state.addEventListener("change", filter);
  host.addEventListener("change", filter);
  get("in").addEventListener("click", () => zoom(scale * 1.25));
  get("out").addEventListener("click", () => zoom(scale / 1.25));
  get("fit").addEventListener("click", fit);

  const step = (key) => {
    const shown = visible();
    const at = shown.indexOf(document.activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1 }[key];
    const button = shown[Math.min(shown.length - 1, Math.max(0, next))];
    if (button) {
      rove(button);
      button.focus();
    }
  };
  list.addEventListener("keydown", (event) => {
    if (["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) {
      event.preventDefault();
      step(event.key);
    }
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      step("Home");
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isTyping = event.target === search || event.target.tagName === "SELECT";
    if (event.key === "Escape") {
      if (picked >= 0) {
        pick(-1);
      } else {
        search.value = "";
        filter();
      }
    } else if (isTyping) {
      return;
    } else if (event.key === "/") {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "+" || event.key === "=") {
      zoom(scale * 1.25);
    } else if (event.key === "-") {
      zoom(scale / 1.25);
    } else if (event.key === "0") {
      fit();
    }
  });

  get("made").textContent = `Made ${document.lastModified}`;
  showTheme();
  // A large drawing is legible at first, and is scrolled.
  zoom(Math.max(0.8, fitting()));
  filter();
})();
