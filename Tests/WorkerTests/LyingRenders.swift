import Coordinator
import Engine
import FakeModel
import Foundation
import Logging
import Protocol
import Sampling
import TestSupport
import Testing

/// Renders with the tiny model on hosts, some of which lie.
struct LyingRenders {
    static let model = Fixtures.networks.first?.checkpoint ?? ""

    /// The settings of the render; the size is 192×128 pixels, and there are four steps.
    var settings: SettingChoices = {
        var settings = SettingChoices()
        settings.set(Settings.size, to: Extent(height: 128, width: 192))
        settings.set(Settings.steps, to: 4)
        settings.set(Settings.globalPass, to: .workers)
        return settings
    }()
    var seed: UInt64 = 5

    func rendering(
        _ picture: String,
        _ verify: VerifyShare,
        book: SiteBook? = nil,
        logger: Logger = quiet
    ) -> Rendering {
        var settings = settings
        settings.set(Settings.seed, to: seed)
        var rendering = Rendering(
            options: PictureOptions(prompt: "a cat", model: Self.model, settings: settings),
            outputs: .init(picture: picture),
            computation: .init(conditioning: EngineOptions(), globalPass: EngineOptions()),
            logger: logger
        )
        (rendering.verify, rendering.siteBook) = (verify, book)
        return rendering
    }

    /// The outcome of a render on hosts, its picture, and its warnings.
    struct Result {
        let outcome: RenderOutcome
        let picture: Data
        let warnings: [String]

        /// Names of workers whose answers were found to be wrong.
        var found: Set<String> { Set(outcome.checks.wrong.flatMap(\.workers)) }
    }

    func render(
        on hosts: LyingHosts,
        _ verify: VerifyShare,
        book: SiteBook? = nil
    ) throws -> Result {
        try inTemporaryFolder { folder in
            let warnings = HeardLines()
            let outcome = try rendering(
                "\(folder)/out.png",
                verify,
                book: book,
                logger: warnings.logger()
            ).run(on: { _, _, _, _ in Rendering.Workers(cluster: hosts.cluster) })
            return Result(
                outcome: outcome,
                picture: try Data(contentsOf: URL(fileURLWithPath: outcome.picture)),
                warnings: warnings.all
            )
        }
    }

    /// The picture as one honest host renders it.
    func honest() throws -> Data {
        let hosts = try LyingHosts(Self.model, [("good", .never)])
        defer { hosts.stop() }
        let result = try render(on: hosts, .off)
        #expect(result.outcome.checks == CheckSummary())
        return result.picture
    }

    /// Renders until exactly these liars are found.
    ///
    /// A busy machine may give a host nothing to do, or its only wrong answer may come after another host's and not be
    /// used: then it is right that nothing is found, and the render is repeated. `holds` is checked for every render.
    @discardableResult
    func untilFound(
        _ liars: Set<String>,
        among manners: [LyingHosts.Manner],
        _ verify: VerifyShare,
        book: SiteBook? = nil,
        holds: (Result) throws -> Void
    ) throws -> Result {
        for _ in 1...10 {
            let hosts = try LyingHosts(Self.model, manners)
            defer { hosts.stop() }
            let result = try render(on: hosts, verify, book: book)
            #expect(result.found.isSubset(of: liars))
            try holds(result)
            guard result.found == liars else { continue }
            for liar in liars {
                #expect(hosts.liars[liar]?.lieCount ?? 0 > 0, "\(liar) was blamed without a lie")
                #expect(result.warnings.contains { $0.hasPrefix("worker \(liar) on") })
                #expect(
                    result.outcome.workers.contains { $0.name == liar && !$0.isActive },
                    "\(liar) still works"
                )
            }
            return result
        }
        throw NeverFound(liars: liars)
    }

    struct NeverFound: Error {
        let liars: Set<String>
    }

    /// Renders with liars while all answers are checked, and compares the picture.
    @discardableResult
    func check(
        _ manners: [LyingHosts.Manner],
        liars: Set<String>,
        honest: Data,
        book: SiteBook? = nil
    ) throws -> RenderOutcome {
        try untilFound(liars, among: manners, .all, book: book) { result in
            #expect(result.picture == honest)
        }.outcome
    }
}
