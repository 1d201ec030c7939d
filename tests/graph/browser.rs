//! Chromium without a window, driven by the protocol of its developer tools over two pipes.

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// One page of a browser. The browser ends when it is dropped.
pub(crate) struct Page {
    chromium: Child,
    requests: File,
    answers: BufReader<File>,
    session: String,
    number: u32,
    /// The addresses of everything that the page loaded, or tried to.
    pub(crate) loaded: Vec<String>,
    /// Errors of the page's script, and what its policy refused.
    pub(crate) errors: Vec<String>,
    directory: PathBuf,
}

impl Page {
    /// Opens `file`. The browser keeps its files in `directory`.
    pub(crate) fn open(file: &Path, directory: &Path) -> Self {
        fs::create_dir_all(directory).expect("a directory");
        let [to, from] = ["to", "from"].map(|name| directory.join(name));
        for pipe in [&to, &from] {
            mkfifo(pipe, Mode::S_IRWXU).expect("a pipe");
        }
        // Descriptors 3 and 4 are those of the protocol.
        let script = "exec chromium --headless --no-sandbox --disable-gpu --no-first-run \
             --remote-debugging-pipe --user-data-dir=\"$1/profile\" 3<\"$1/to\" 4>\"$1/from\"";
        let chromium = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(directory.join("log")).expect("a file"))
            .spawn()
            .expect("a shell");
        let requests = File::options().write(true).open(&to).expect("a pipe");
        let answers = BufReader::new(File::open(&from).expect("a pipe"));
        let mut page = Self {
            chromium,
            requests,
            answers,
            session: String::new(),
            number: 0,
            loaded: Vec::new(),
            errors: Vec::new(),
            directory: directory.to_owned(),
        };
        let target = page.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = page.call("Target.attachToTarget", &target)["sessionId"].take();
        session.as_str().expect("a session").clone_into(&mut page.session);
        for domain in ["Page", "Network", "Runtime", "Log"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        page.size(1400, 800);
        let url = format!("file://{}", file.display());
        page.call("Page.navigate", &json!({ "url": url }));
        page.await_value("document.readyState", &json!("complete"));
        page
    }

    /// Calls a method of the protocol and returns its result.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.number += 1;
        let mut request = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.session.is_empty() {
            request["sessionId"] = self.session.as_str().into();
        }
        self.requests.write_all(format!("{request}\0").as_bytes()).expect("chromium reads");
        loop {
            let mut text = Vec::new();
            self.answers.read_until(0, &mut text).expect("chromium answers");
            let text = text.strip_suffix(b"\0").expect("chromium runs");
            let mut message: Value = serde_json::from_slice(text).expect("JSON");
            if message["id"] == self.number {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    fn note(&mut self, event: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let about = &event["params"];
        match event["method"].as_str() {
            Some("Network.requestWillBeSent") => self.loaded.push(text(&about["request"]["url"])),
            Some("Runtime.exceptionThrown" | "Log.entryAdded") => {
                self.errors.push(about.to_string());
            }
            _ => {}
        }
    }

    /// The value of a JavaScript expression.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true });
        let mut result = self.call("Runtime.evaluate", &asked);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    /// Asks until the expression has this value. The test's own time limit ends it.
    pub(crate) fn await_value(&mut self, expression: &str, expected: &Value) {
        while self.value(expression) != *expected {}
    }

    /// Presses and releases a key, as `KeyboardEvent.key` calls it.
    pub(crate) fn press(&mut self, key: &str) {
        let mut down = json!({ "type": "keyDown", "key": key });
        if key.chars().count() == 1 {
            down["text"] = key.into();
        } else if key == "Enter" {
            down["text"] = "\r".into();
        }
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            "ArrowDown" => 40,
            "ArrowUp" => 38,
            "End" => 35,
            _ => 0,
        };
        down["windowsVirtualKeyCode"] = code.into();
        self.call("Input.dispatchKeyEvent", &down);
        self.call("Input.dispatchKeyEvent", &json!({ "type": "keyUp", "key": key }));
    }

    /// Types a text.
    pub(crate) fn write(&mut self, text: &str) {
        for c in text.chars() {
            self.press(&c.to_string());
        }
    }

    /// Clicks at the middle of the first element of a selector.
    pub(crate) fn click(&mut self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); \
             e.scrollIntoView({{ block: 'nearest', inline: 'nearest' }}); \
             const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left",
                "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1,
            "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Tells the page that its reader prefers this color scheme.
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// With `OCI_LINK_SHOTS` set, puts a picture of the page into that directory.
    pub(crate) fn shoot(&mut self, name: &str) {
        let Some(directory) = std::env::var_os("OCI_LINK_SHOTS") else { return };
        let shot = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        let path = Path::new(&directory).join(name);
        let encoded = path.with_extension("base64");
        fs::write(&encoded, shot["data"].as_str().expect("a picture")).expect("written");
        let decode = "base64 -d \"$1\" >\"$2\" && rm \"$1\"";
        let decoded =
            Command::new("sh").args(["-c", decode, "sh"]).arg(&encoded).arg(&path).status();
        assert!(decoded.expect("a shell").success());
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.chromium.kill();
        let _ = self.chromium.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
