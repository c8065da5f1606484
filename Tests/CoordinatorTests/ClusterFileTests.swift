import Coordinator
import Engine
import TestSupport
import Testing

@Suite struct ClusterFileTests {
    @Test func readsTheExample() throws {
        let path = "\(Fixtures.packageRoot)/cluster.yaml"
        let file = try ClusterFile(file: path)
        #expect(file.endpoint == nil)
        #expect(file.model == "Models/vista")
        #expect(file.hosts.map(\.name) == ["localhost"])
        #expect(file.hosts.map(\.workers) == [2])
        #expect(try file.onlyHost(place: path).workers == 2)
    }

    static let faults = [
        ("hosts: [", "YAML"), ("", "mapping"), ("- a", "mapping"), ("hosts: []", "hosts"),
        ("hosts: 3", "x.yaml:1: hosts"), ("hosts:\n  - workers: 0", "x.yaml:2: workers"),
        ("hosts:\n  - name: a\n    cores: 3", "x.yaml:3"), ("hosts:\n  - name: [a]", "name"),
        ("model: x\nports: 3\nhosts:\n  - name: a", "x.yaml:2"),
        ("coordinator:\n  endpoint: [1]\nhosts:\n  - name: a", "x.yaml:2: endpoint"),
        ("coordinator: 7\nhosts:\n  - name: a", "x.yaml:1"),
    ]

    @Test(arguments: faults) func namesTheLineOfAMistake(yaml: String, part: String) {
        #expect {
            try ClusterFile(yaml: yaml, place: "x.yaml")
        } throws: { error in
            error is InputError && "\(error)".contains(part) && !"\(error)".contains("\n")
        }
    }

    @Test func refusesHostsThatItCannotReach() throws {
        let two = try ClusterFile(yaml: "hosts:\n  - name: a\n  - name: b", place: "x.yaml")
        #expect(throws: InputError.self) { try two.onlyHost(place: "x.yaml") }
    }

    /// Damaged files are read or refused, never a crash.
    @Test func survivesDamage() throws {
        let whole = Array("coordinator:\n  endpoint: tcp://127.0.0.1:1\nhosts:\n  - name: a\n".utf8)
        var mutator = Mutator(seed: 4)
        for _ in 0..<2000 {
            let text = String(decoding: mutator.mutate(whole), as: UTF8.self)
            do { _ = try ClusterFile(yaml: text, place: "x") } catch {}
        }
    }
}
