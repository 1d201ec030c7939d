//! The answering side of a probe: an echo on one port of a container, on all its addresses.

use super::{
    container::Container,
    packets::{Proto, datagram_socket, without_ip_header},
    patience::when_free,
    sctp,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Answers until dropped.
pub(crate) struct Listener {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Listener {
    pub(crate) fn new(container: &Container, proto: Proto, port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = container
            .addresses()
            .map(|address| container.netns().enter(|| server(proto, (address, port).into())))
            .map(|mut serve| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    while !stop.load(Relaxed) {
                        serve();
                        thread::sleep(Duration::from_millis(1));
                    }
                })
            });
        Self { stop, threads: threads.into() }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Something that, each time it is called, answers whatever has come in since.
type Serve = Box<dyn FnMut() + Send>;

fn server(proto: Proto, address: SocketAddr) -> Serve {
    if proto == Proto::Tcp {
        let listener = when_free(|| TcpListener::bind(address)).expect("the port is free");
        listener.set_nonblocking(true).expect("a socket");
        let mut streams = Vec::new();
        return Box::new(move || serve_streams(&listener, &mut streams));
    }
    let socket = datagram_socket(proto, address).expect("the port is free");
    socket.set_nonblocking(true).expect("a socket");
    Box::new(move || serve_datagrams(&socket, proto, address))
}

fn serve_streams(listener: &TcpListener, streams: &mut Vec<TcpStream>) {
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nonblocking(true).expect("a socket");
        streams.push(stream);
    }
    for stream in streams {
        let mut buffer = [0; 64];
        if let Ok(length @ 1..) = stream.read(&mut buffer) {
            let _ = stream.write_all(&buffer[..length]);
        }
    }
}

fn serve_datagrams(socket: &UdpSocket, proto: Proto, address: SocketAddr) {
    let mut buffer = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let request = &buffer[..length];
        if proto == Proto::Udp {
            let _ = socket.send_to(request, from);
        } else if let Some(answer) =
            sctp::answer(without_ip_header(request, address), address.port())
        {
            let _ = socket.send_to(&answer, SocketAddr::new(from.ip(), 0));
        }
    }
}
