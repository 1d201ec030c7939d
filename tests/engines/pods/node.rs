//! containerd with its CRI, and the calls of a kubelet.

use crate::machine::{Said, wait_until};
use crate::rig::{Engine, Rig, With};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engines/rigs/cri.py");
const CONFIG: &str = "/etc/containerd/config.toml";
/// Without `CAP_SYS_RESOURCE` every sandbox fails but with `restrict_oom_score_adj`.
const VERSION_2: &str = r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
restrict_oom_score_adj = true
sandbox_image = "docker.io/library/pause:latest"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "/etc/cni/net.d"
"#;
const VERSION_3: &str = r"version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = 'docker.io/library/pause:latest'
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['/usr/lib/cni']
conf_dir = '/etc/cni/net.d'
";
/// What the first container of a pod does.
const SERVE: &str = "httpd -p 9999; exec httpd -f -p 3306";
/// What the others do: all of a pod have the same ports.
const WAIT: &str = "exec sleep 86400";

/// One node of Kubernetes without the rest.
pub(crate) struct Node {
    pub(crate) rig: Rig,
    /// The ids of containers, by pod and name.
    containers: RefCell<BTreeMap<(String, String), String>>,
    /// The hosts files that the kubelet has made, by pod.
    files: RefCell<BTreeMap<String, String>>,
}

/// A pod that runs.
pub(crate) struct Pod {
    pub(crate) id: String,
    /// `PodSandboxConfig`.
    config: Value,
}

impl Node {
    pub(crate) fn start(engine: Engine) -> Self {
        let rig = Rig::start(engine, With::Wrapper);
        let config = if engine == Engine::containerd_1 { VERSION_2 } else { VERSION_3 };
        rig.machine.sh("mkdir -p /etc/containerd /root/logs").ok();
        rig.write(CONFIG, config);
        rig.configure("containerd");
        rig.restart_containerd();
        let pause = ["/root/pause.tar", "library/pause:latest", "", "\"sleep\",\"86400\""];
        rig.machine.script("image.sh", &pause).ok();
        for image in ["image", "pause"] {
            rig.machine.sh(&format!("ctr -n k8s.io images import /root/{image}.tar")).ok();
        }
        Self { rig, containers: RefCell::default(), files: RefCell::default() }
    }

    /// Calls a method of the CRI, from outside: the machine has no client.
    fn call(&self, method: &str, request: &Value) -> std::result::Result<String, String> {
        // /run and not /var/run, which is an absolute link.
        let socket = self.rig.machine.path("/run/containerd/containerd.sock");
        let mut client = Command::new("/usr/bin/python3");
        client.arg(CLIENT).arg(socket).arg(method);
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = client.spawn().expect("python3 starts");
        let input = child.stdin.take().expect("piped");
        serde_json::to_writer(input, request).expect("a request is written");
        let done = child.wait_with_output().expect("it ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
    }

    fn must(&self, method: &str, request: &Value) -> String {
        self.call(method, request).unwrap_or_else(|why| {
            panic!("{method}: {why}\n{}", self.rig.machine.sh("tail -50 /root/engine.log"))
        })
    }

    /// Runs a pod with these annotations of ours.
    pub(crate) fn pod(&self, namespace: &str, name: &str, annotations: &[(&str, &str)]) -> Pod {
        let annotations: Vec<Value> = annotations
            .iter()
            .map(|(key, value)| json!({"1": format!("org.oci-link.{key}"), "2": value}))
            .collect();
        let container = 1; // NamespaceMode CONTAINER
        let config = json!({
            "1": {"1": name, "2": format!("uid-{namespace}-{name}"), "3": namespace},
            "2": name,
            "3": "/root/logs",
            "7": annotations,
            "8": {"1": "/pods", "2": {"1": {"2": container}}},
        });
        let id = self.must("RunPodSandbox", &json!({"1": config, "2": "oci-link"}));
        Pod { id, config }
    }

    fn create_container(&self, pod: &Pod, name: &str, env: &[&str]) -> Result<String, String> {
        let pairs = env.iter().filter_map(|entry| entry.split_once('='));
        let envs: Vec<Value> = pairs.map(|(key, value)| json!({"1": key, "2": value})).collect();
        let file = self.files.borrow().get(&pod.id).cloned();
        let mounts: Vec<Value> =
            file.iter().map(|file| json!({"1": "/etc/hosts", "2": file})).collect();
        let is_first = !self.containers.borrow().keys().any(|(of, _)| *of == pod.id);
        let config = json!({
            "1": {"1": name},
            "2": {"1": "docker.io/library/db:latest"},
            "3": ["sh", "-c", if is_first { SERVE } else { WAIT }],
            "6": envs,
            "7": mounts,
            "11": format!("{name}.log"),
            "15": {"2": {"3": {"2": 1}}},
        });
        let request = json!({"1": pod.id, "2": config, "3": pod.config});
        let id = self.call("CreateContainer", &request)?;
        self.containers.borrow_mut().insert((pod.id.clone(), name.to_owned()), id.clone());
        self.call("StartContainer", &json!({"1": id}))?;
        Ok(id)
    }

    /// Creates and starts a container that is refused.
    pub(crate) fn create(&self, pod: &Pod, name: &str, env: &[&str]) -> Refused {
        Refused(self.create_container(pod, name, env))
    }

    /// Runs a container of a pod, and returns its process.
    pub(crate) fn run(&self, pod: &Pod, name: &str, env: &[&str]) -> u32 {
        let id = self.create_container(pod, name, env).unwrap_or_else(|why| {
            panic!("{name}: {why}\n{}", self.rig.machine.sh("cat /var/log/oci-link.log"))
        });
        let pid = self
            .rig
            .machine
            .sh(&format!("cat /run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}/init.pid"));
        let pid = pid.ok().parse().expect("a pid");
        let serves =
            format!("nsenter -t {pid} -n -m /bin/sh -c 'nc -w 1 127.0.0.1 3306 </dev/null'");
        wait_until("server", || self.rig.machine.sh(&serves).is_ok());
        pid
    }

    pub(crate) fn container(&self, pod: &Pod, name: &str) -> String {
        let key = (pod.id.clone(), name.to_owned());
        self.containers.borrow().get(&key).expect("it was made").clone()
    }

    /// Stops and removes a container.
    pub(crate) fn end(&self, pod: &Pod, name: &str) {
        let id = self.container(pod, name);
        self.must("StopContainer", &json!({"1": id}));
        self.must("RemoveContainer", &json!({"1": id}));
    }

    pub(crate) fn remove(&self, pod: &Pod) {
        self.must("StopPodSandbox", &json!({"1": pod.id}));
        self.must("RemovePodSandbox", &json!({"1": pod.id}));
    }

    /// Kills the process of a container while its shim cannot tell, and does `act` then.
    pub(crate) fn without_its_shim(&self, pid: u32, act: impl FnOnce()) {
        let shim =
            self.rig.machine.sh(&format!("awk '/^PPid:/ {{ print $2 }}' /proc/{pid}/status"));
        let shim = shim.ok();
        self.rig.machine.sh(&format!("kill -STOP {shim} && kill -KILL {pid}")).ok();
        let ended = format!("grep -q 'State:.Z' /proc/{pid}/status");
        wait_until("end", || self.rig.machine.sh(&ended).is_ok());
        act();
        self.rig.machine.sh(&format!("kill -CONT {shim}")).ok();
    }

    /// Makes the hosts file that all containers of the pod get, as the kubelet does.
    pub(crate) fn kubelet_file(&self, pod: &Pod) -> String {
        let file = format!("/root/hosts-{}", &pod.id[..12]);
        self.write_hosts(&file);
        self.files.borrow_mut().insert(pod.id.clone(), file.clone());
        file
    }

    /// Writes it again, in place.
    pub(crate) fn write_hosts(&self, file: &str) {
        let text = "# Kubernetes-managed hosts file.\\n127.0.0.1\\tlocalhost\\n";
        self.rig.machine.sh(&format!("printf '{text}' >{file}")).ok();
    }

    pub(crate) fn oci_link(&self, words: &str) -> Said {
        self.rig.machine.sh(&format!("oci-link {words}"))
    }

    pub(crate) fn address(&self, pid: u32) -> String {
        let show = "ip -4 -o addr show dev eth0 scope global";
        let shown = self.rig.machine.sh(&format!("nsenter -t {pid} -n {show}")).ok();
        let word = shown.split_whitespace().nth(3).expect("an address").to_owned();
        word.split('/').next().expect("an address").to_owned()
    }

    pub(crate) fn environ(&self, pid: u32) -> String {
        self.rig.machine.sh(&format!("tr '\\0' '\\n' </proc/{pid}/environ")).ok()
    }

    pub(crate) fn hosts(&self, pid: u32) -> String {
        self.rig.machine.sh(&format!("cat /proc/{pid}/root/etc/hosts")).ok()
    }

    /// Whether it gets an answer from port 3306.
    pub(crate) fn gets(&self, pid: u32, host: &str) -> bool {
        self.gets_at(pid, host, 3306)
    }

    pub(crate) fn gets_at(&self, pid: u32, host: &str, port: u16) -> bool {
        let ask = format!("echo GET / | nc -w 2 {host} {port}");
        let said = self.rig.machine.sh(&format!("nsenter -t {pid} -n -m /bin/sh -c '{ask}'"));
        said.is_ok() && said.ok().contains("HTTP/")
    }
}

/// What came of a container that must not start.
pub(crate) struct Refused(Result<String, String>);

impl Refused {
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        self.0.expect_err("it started")
    }
}
