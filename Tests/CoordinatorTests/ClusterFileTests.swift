import Coordinator
import Engine
import Fleet
import TestSupport
import Testing

@Suite struct ClusterFileTests {
    @Test func readsTheExample() throws {
        let file = try ClusterFile(file: "\(Fixtures.packageRoot)/cluster.yaml")
        #expect(file.coordinator == ClusterFile.Coordinator())
        #expect(file.model == "Models/vista")
        #expect(file.hosts.map(\.name) == ["localhost"])
        #expect(file.hosts.map(\.workers) == [2])
        #expect(file.hosts.map(\.isThisOne) == [true])
        #expect(file.timeouts == ClusterFile.Timeouts())
    }

    /// Machines that join by invitation need no host in the file.
    @Test func anEndpointIsEnough() throws {
        let text = "coordinator: {endpoint: \"tcp://*:7551\"}"
        let file = try ClusterFile(yaml: text, place: "x.yaml")
        #expect(file.hosts.isEmpty)
    }

    static let whole = """
        coordinator:
          endpoint: tcp://*:7551
          connect: tcp://10.0.0.1:7551
          keys: key
          allow: allowed
          insecure: false
        model: m
        launch: ssh -p 22 {host} {command}
        environment: {A: "1 2", B: 3}
        timeouts: {start: 5, join: 60.5, stop: 2, silence: 4, grace: 9}
        min-workers: 3
        hosts:
          - name: user@alpha
            workers: 2
            threads: 4
            precision: bf16
            backend: onednn
            model: /models/m
            tessera: /opt/te ssera
            labels: [big, near]
            keys: ~/k
            coordinator-key: ~/c.pub
            connect: tcp://127.0.0.1:9
            share: 7552
            environment: {B: "4"}
            launch: [sh, -c, "{command}"]
          - name: beta
            keys: k
            coordinator-key: c
        """

    @Test func readsEveryField() throws {
        let file = try ClusterFile(yaml: Self.whole, place: "x.yaml")
        #expect(file.coordinator.connect == "tcp://10.0.0.1:7551")
        #expect(file.coordinator.keys == "key" && file.coordinator.allow == "allowed")
        #expect(file.timeouts.start == .seconds(5) && file.timeouts.join == .milliseconds(60_500))
        #expect(file.minWorkers == 3)
        let host = try #require(file.hosts.first)
        #expect(host.name == "user@alpha" && host.workers == 2 && host.threads == 4)
        #expect(host.precision == .bf16 && host.backend == .onednn)
        #expect(host.model == "/models/m" && host.program == "/opt/te ssera")
        #expect(host.labels == ["big", "near"])
        #expect(host.share == 7552 && file.hosts[1].share == nil)
        #expect(host.environment == ["A": "1 2", "B": "4"])
        #expect(host.launch == (try LaunchTemplate("sh -c {command}")))
        #expect(file.hosts[1].environment == ["A": "1 2", "B": "3"])
        #expect(file.hosts[1].launch == nil)
        #expect(try file.only(["near"]).hosts.map(\.name) == ["user@alpha"])
        #expect(try file.only(["beta", "big"]).hosts.count == 2)
        #expect(throws: InputError.self) { try file.only(["gamma"]) }
    }

    static let faults = [
        ("hosts: [", "YAML"), ("", "mapping"), ("- a", "mapping"), ("hosts: []", "hosts"),
        ("hosts: 3", "x.yaml:1: hosts"),
        ("hosts:\n  - name: a\n    workers: 0", "x.yaml:3: workers"),
        ("hosts:\n  - name: a\n    workers: 1e9", "x.yaml:3: workers"),
        ("hosts:\n  - name: a\n    threads: -1", "x.yaml:3: threads"),
        ("hosts:\n  - name: a\n    cores: 3", "x.yaml:3"), ("hosts:\n  - name: [a]", "name"),
        ("hosts:\n  - workers: 2", "x.yaml:2: name"),
        ("hosts:\n  - name: -oProxyCommand=x", "x.yaml:2: name"),
        ("hosts:\n  - name: a b", "x.yaml:2: name"),
        ("hosts:\n  - name: localhost\n  - name: localhost", "x.yaml:3: name"),
        (
            "hosts:\n  - name: a\n    workers: 1\n    workers: 2",
            "x.yaml:3: workers: the field is duplicated"
        ),
        ("hosts:\n  - name: a\n    precision: f8", "x.yaml:3: precision"),
        ("hosts:\n  - name: a\n    backend: cuda", "x.yaml:3: backend"),
        ("hosts:\n  - name: a\n    backend: onednn\n    device: cuda", "x.yaml:3: backend"),
        ("hosts:\n  - name: a\n    backend: openblas\n    precision: bf16", "x.yaml:3: backend"),
        ("hosts:\n  - name: a\n    backend: onednn\n    torch: t", "does not use PyTorch"),
        ("hosts:\n  - name: a\n    batch: 0", "x.yaml:3: batch"),
        ("hosts:\n  - name: a\n    share: 65536", "x.yaml:3: share: it must be a whole number"),
        ("hosts:\n  - name: a\n    share: true", "x.yaml:3: share"),
        ("hosts:\n  - name: a\n    share: '7552'", "x.yaml:3: share"),
        (
            "hosts:\n  - name: localhost\n    share: 7552",
            "x.yaml:3: share: localhost: without keys"
        ),
        (
            "coordinator: {endpoint: 'tcp://a:1', insecure: true}\nhosts:\n  - name: far\n    share: 2",
            "x.yaml:4: share: far: without keys"
        ),
        (
            "coordinator: {endpoint: 'tcp://a:7'}\nhosts:\n  - name: localhost\n    share: 7",
            "x.yaml:4: share: localhost: the coordinator uses this port"
        ),
        (
            "coordinator: {endpoint: 'tcp://a:7'}\nhosts:\n  - name: localhost\n    share: 8\n"
                + "  - name: 127.0.0.1\n    share: 8",
            "x.yaml:6: share: 127.0.0.1: localhost uses this port"
        ),
        ("hosts:\n  - name: a\n    labels: big", "x.yaml:3: labels"),
        ("hosts:\n  - name: a\n    environment: {1A: b}", "x.yaml:3: environment"),
        ("hosts:\n  - name: a\n    environment: {A: [b]}", "x.yaml:3: A"),
        ("hosts:\n  - name: a\n    launch: ssh {host}", "x.yaml:3: launch"),
        ("launch: ssh {hots} {command}\nhosts:\n  - name: a", "x.yaml:1: launch"),
        ("launch: ssh 'a {command}\nhosts:\n  - name: a", "quote"),
        ("launch: ssh {host {command}\nhosts:\n  - name: a", "x.yaml:1: launch"),
        ("timeouts: {join: soon}\nhosts:\n  - name: a", "x.yaml:1: join"),
        ("timeouts:\n  start: 1e300\nhosts:\n  - name: a", "x.yaml:2: start"),
        ("timeouts:\n  start: .nan\nhosts:\n  - name: a", "x.yaml:2: start"),
        ("min-workers: 3\nhosts:\n  - name: localhost", "x.yaml:1: min-workers"),
        ("model: x\nports: 3\nhosts:\n  - name: a", "x.yaml:2"),
        ("coordinator:\n  endpoint: [1]\nhosts:\n  - name: a", "x.yaml:2: endpoint"),
        ("coordinator:\n  endpoint: tcp://a\nhosts:\n  - name: a", "x.yaml:2: endpoint"),
        ("coordinator:\n  insecure: perhaps\nhosts:\n  - name: a", "x.yaml:2: insecure"),
        ("coordinator: 7\nhosts:\n  - name: a", "x.yaml:1"),
        ("coordinator:\n  endpoint: tcp://a:1\n  keys: k\nhosts:\n  - name: a", "allow"),
        (
            "coordinator: {endpoint: 'tcp://a:1', keys: k, allow: l}\nhosts:\n  - name: a",
            "x.yaml:3: keys"
        ),
        ("hosts:\n  - name: localhost\n    keys: k\n    coordinator-key: c", "x.yaml:2: keys"),
        ("hosts:\n  - name: localhost\n    keys: k", "coordinator-key"),
        ("coordinator: {endpoint: 'tcp://*:1'}\nhosts:\n  - name: localhost", "connect"),
        ("hosts:\n  - name: far", "endpoint"),
        // Values of the wrong type for their field.
        ("model: 3\nhosts:\n  - name: localhost", "x.yaml:1: model: 3 is a number"),
        ("model: 1.5\nhosts:\n  - name: localhost", "Quote it: \"1.5\""),
        ("hosts:\n  - name: on", "x.yaml:2: name: on is yes or no"),
        ("hosts:\n  - name: localhost\n    tessera: true", "x.yaml:3: tessera"),
        ("hosts:\n  - name: localhost\n    labels: [a, 7]", "x.yaml:3: labels: 7 is a number"),
        ("hosts:\n  - name: localhost\n    workers: '2'", "x.yaml:3: workers"),
        ("timeouts: {join: '5'}\nhosts:\n  - name: localhost", "x.yaml:1: join"),
        ("coordinator: {insecure: 'true'}\nhosts:\n  - name: localhost", "x.yaml:1: insecure"),
    ]

    /// Keys are made for workers of this machine.
    @Test(arguments: [0, 8]) func thisMachineSharesWithoutKeysInTheFile(port: Int) throws {
        let text = """
            coordinator: {endpoint: 'tcp://a:7'}
            hosts: [{name: localhost, workers: 2, share: \(port)}]
            """
        #expect(try ClusterFile(yaml: text, place: "x").hosts.first?.share == UInt16(port))
    }

    /// Text that looks like a number is text when it is quoted.
    @Test func quotedNumbersAreText() throws {
        let file = try ClusterFile(yaml: "model: '3'\nhosts:\n  - name: localhost", place: "x")
        #expect(file.model == "3")
    }

    /// The example in the error about an empty file is itself a valid file.
    @Test func theExampleInTheErrorCanBeRead() throws {
        let error = #expect(throws: InputError.self) { try ClusterFile(yaml: "", place: "x.yaml") }
        let remedy = try #require(error).remedy
        let start = "Write at least "
        #expect(remedy.hasPrefix(start))
        let file = try ClusterFile(yaml: String(remedy.dropFirst(start.count)), place: "x")
        #expect(file.hosts.map(\.name) == ["localhost"])
    }

    @Test(arguments: faults) func namesTheLineOfAMistake(yaml: String, part: String) throws {
        let error = #expect(throws: InputError.self) {
            try ClusterFile(yaml: yaml, place: "x.yaml")
        }
        let line = "\(try #require(error))"
        #expect(line.contains(part) && !line.contains("\n"), "\(line)")
    }

    /// Damaged files are read or refused, and never crash the program.
    @Test func survivesDamage() throws {
        let whole = Array(Self.whole.utf8)
        var mutator = Mutator(seed: 4)
        for _ in 0..<2000 {
            let text = String(decoding: mutator.mutate(whole), as: UTF8.self)
            do { _ = try ClusterFile(yaml: text, place: "x") } catch {}
        }
    }
}
