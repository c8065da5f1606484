import Foundation
import TestSupport
import Testing

/// A coordinator whose only host answers wrongly.
@Suite struct OnlyLiarTests {
    private static let model = Fixtures.networks.first?.checkpoint ?? ""
    private static let picture = [
        "--model", model, "--prompt", "a prompt", "--size", "128x128", "--steps", "4", "--seed",
        "5", "--global-pass", "workers",
    ]

    /// The coordinator says so in one line as soon as it knows, with the remedy; another host then renders the picture.
    @Test func itSaysWhyItWaits() throws {
        try inTemporaryFolder { folder in
            let alone = ["render", "--output", "\(folder)/out.png"] + Self.picture
            let whole = try KeyedSite.picture(Command.Running(alone), folder)
            let flags = try Self.picture + KeyedSite.makeKeys(folder) + ["--verify", "all"]
            let site = try KeyedSite(folder, flags)
            let liar = try site.worker(
                Self.model,
                key: "one",
                ["--name", "liar", "--lie", "always"],
                program: "TestWorker"
            )
            defer { kill(liar.process.processIdentifier, SIGKILL) }
            let isSaid = site.coordinator.waitFor(
                "No other host is connected: the render waits 60 s"
            )
            #expect(isSaid, "\(site.coordinator.errorsSoFar)")
            let lines = site.coordinator.errorsSoFar.split(separator: "\n")
                .filter { $0.contains("worker liar on ") }
            #expect(lines.count == 1 && lines[0].contains("answers wrongly"), "\(lines)")
            #expect(lines.first?.contains("tessera worker --connect \(site.endpoint)") == true)
            let honest = try site.worker(Self.model, key: "two", ["--name", "honest"])
            #expect(try site.result() == whole)
            _ = KeyedSite.end([honest])
        }
    }
}
