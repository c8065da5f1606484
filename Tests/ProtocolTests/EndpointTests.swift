import Engine
import Protocol
import Testing

@Suite struct EndpointTests {
    @Test(arguments: [
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555"),
        ("tcp://127.1.2.3:1", "tcp://127.1.2.3:1"),
        ("tcp://[::1]:5555", "tcp://[::1]:5555"), ("ipc:///tmp/x/socket", "ipc:///tmp/x/socket"),
    ])
    func thisMachineIsAllowed(text: String, address: String) throws {
        #expect(try Endpoint(text).address == address)
    }

    @Test func namesAreResolvedBeforeTheyAreUsed() throws {
        let address = try Endpoint("tcp://localhost:80").address
        #expect(["tcp://127.0.0.1:80", "tcp://[::1]:80"].contains(address))
    }

    @Test(arguments: [
        "tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://[::]:5555", "tcp://10.0.0.1:5555",
        "tcp://[2001:db8::1]:80",
    ])
    func theNetworkNeedsKeys(text: String) {
        let error = #expect(throws: InputError.self) { try Endpoint(text) }
        #expect(error?.problem.contains("CURVE keys") == true, "\(String(describing: error))")
    }

    @Test(arguments: [
        "", "127.0.0.1:5555", "udp://127.0.0.1:1", "tcp://127.0.0.1", "tcp://127.0.0.1:x",
        "tcp://127.0.0.1:70000", "ipc://relative/path", "ipc://@abstract", "inproc://x",
        "ipc:///tmp/\(String(repeating: "x", count: 110))", "tcp://no such name:1",
        "tcp://eth0;127.0.0.1:1", "tcp://:5555",
    ])
    func anythingElseIsRefused(text: String) {
        #expect(throws: InputError.self) { try Endpoint(text) }
    }

    @Test(arguments: [
        ("tcp://*:5555", "tcp://0.0.0.0:5555"), ("tcp://0.0.0.0:5555", "tcp://0.0.0.0:5555"),
        ("tcp://[::]:5555", "tcp://[::]:5555"),
        ("tcp://[2001:db8::1]:80", "tcp://[2001:db8::1]:80"),
        ("tcp://10.0.0.1:5555", "tcp://10.0.0.1:5555"),
        ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1"),
    ])
    func withKeysTheNetworkIsAllowed(text: String, address: String) throws {
        #expect(try Endpoint(text, reach: .network).address == address)
    }
}
