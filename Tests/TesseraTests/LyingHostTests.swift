import Foundation
import TestSupport
import Testing

/// Hosts that answer wrongly, each on its own network, and the picture despite them. Needs root, for network
/// namespaces.
@Suite(.serialized, .enabled(if: TestNetwork.isPossible)) struct LyingHostTests {
    private static let model = Fixtures.networks.first?.checkpoint ?? ""

    private static let picture = [
        "--model", model, "--prompt", "a prompt", "--size", "200x136", "--steps", "8", "--seed",
        "5", "--global-pass", "workers",
    ]

    /// The picture of one host that does not lie.
    private static let whole = Result {
        try inTemporaryFolder { folder in
            let arguments = ["render", "--output", "\(folder)/out.png"] + picture
            return try KeyedSite.picture(Command.Running(arguments), folder)
        }
    }

    /// Renders on hosts until every liar is blamed: on a busy machine, one liar may get nothing to do, and another's
    /// only wrong answer may come too late to be accepted. The picture is always right, and no other host is ever
    /// blamed.
    ///
    /// - Parameter manners: when each host adds 0.01 to an answer; nil for never
    /// - Throws: if a program does not start
    private func check(_ manners: [String?]) throws {
        let liars = Set(manners.indices.filter { manners[$0] != nil })
        let isFound = try (1...5).contains { _ in
            let blamed = try render(manners)
            #expect(blamed.isSubset(of: liars))
            return blamed == liars
        }
        #expect(isFound)
    }

    /// Renders once, checks the picture, and returns the hosts that are blamed.
    private func render(_ manners: [String?]) throws -> Set<Int> {
        let whole = try Self.whole.get()
        return try inTemporaryFolder { folder in
            let network = try TestNetwork(hosts: manners.count)
            let flags = try Self.picture + KeyedSite.makeKeys(folder)
            let site = try KeyedSite(folder, flags + ["--verify", "all"], on: network.centre)
            // Liars join first, since the others could finish the picture without them.
            let workers = try manners.enumerated().reversed().map { number, manner in
                let worker = try site.worker(
                    Self.model,
                    key: ["one", "two", "two"][number],
                    on: network.hosts[number],
                    at: network.endpoint(from: number),
                    ["--name", "host-\(number)"] + (manner.map { ["--lie", $0] } ?? []),
                    program: manner == nil ? "tessera" : "TestWorker"
                )
                #expect(worker.waitFor("joined"), "\(worker.errorsSoFar)")
                return worker
            }
            let end = site.coordinator.finish()
            #expect(end.status == 0, "\(end.errors)")
            let found = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png"))
            #expect(found == whole, "\(end.errors)")
            // The liars' program does not end by itself.
            for worker in workers { kill(worker.process.processIdentifier, SIGKILL) }
            for worker in workers { _ = worker.finish() }
            return Set(
                manners.indices.filter { end.errors.contains("worker host-\($0) on ") }
            )
        }
    }

    @Test func everyTenthAnswerIsWrong() throws { try check([nil, "every:10"]) }

    @Test func oneAnswerOfManyIsWrong() throws { try check([nil, "once:23"]) }

    @Test func onlyOneTimestepIsWrong() throws { try check([nil, "below:130"]) }

    @Test func twoHostsAgreeToLie() throws { try check([nil, "always", "always"]) }
}
