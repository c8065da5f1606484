import ArgumentParser
import Coordinator
import Engine
import Fleet
import Foundation

extension ClusterCommand {
    /// `tessera cluster test`
    struct Test: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Checks hosts, keys, clocks, model, memory, links and speed, and says what to mend.",
            discussion: """
                Starts the workers that a render would start, uses those that stand, gives all of them the same view, \
                compares the answers, and ends what it started. The exit status is 69 if a check failed. While a coordinator \
                of the cluster runs, it does nothing and says so.
                """
        )

        @OptionGroup var file: HostsFlags

        @Option(
            help: ArgumentHelp(
                "Test only the hosts with this name or label; may be repeated.",
                valueName: "name"
            )
        )
        var only: [String] = []

        @OptionGroup var model: ModelFlags
        @OptionGroup var engine: EngineFlags

        @Flag(help: "Print one line of JSON.")
        var json = false

        func run() throws {
            try ExitStatus.reporting {
                let findings = try findings()
                if json {
                    try StandardOutput.write(json: findings)
                } else {
                    try StandardOutput.write(lines: findings.lines)
                }
                if let problem = findings.problem(file: file.cluster) { throw problem }
            }
        }

        private func findings() throws -> ClusterFindings {
            let read = try ClusterFile(file: file.cluster).only(only)
            try read.refuseRelay(file.cluster, "tessera cluster test")
            let session: RenderSession
            do {
                let path = read.model.map { ClusterFile.resolve($0, in: file.cluster) }
                session = try RenderSession(
                    PictureOptions(
                        prompt: "a lake at sunset",
                        model: model.model ?? path,
                        modelOptions: try model.options()
                    )
                )
                try session.checkWeights()
            } catch let error as InputError {
                return ClusterFindings(checks: [
                    ClusterCheck(
                        "coordinator",
                        .model,
                        .failed,
                        "\(error.place): \(error.problem)",
                        remedy: error.remedy
                    )
                ])
            }
            let plan = LaunchPlan(
                read,
                path: file.cluster,
                try .init(model: session.model.path, flags: model, engine: engine)
            )
            return try ClusterTest(plan, session, engine.computation) {
                StandardError.write($0)
            }.run()
        }
    }
}
