import Engine
import Sampling

/// What a series of pictures costs.
package struct SeriesPlan {
    /// Pictures that differ only in their seeds.
    package struct Group {
        /// Index of the first picture, counted from 0.
        let first: Int
        let count: Int
        let seed: UInt64
        let prompt: String
        /// Path of the first picture.
        let picture: String
        let plan: RenderPlan
        let speeds: MeasuredSpeeds?
        let use: PlanReport.Use?

        package init(
            first: Int,
            count: Int,
            seed: UInt64,
            prompt: String,
            picture: String,
            plan: RenderPlan,
            speeds: MeasuredSpeeds?,
            use: PlanReport.Use? = nil
        ) {
            (self.first, self.count, self.seed) = (first, count, seed)
            (self.prompt, self.picture) = (prompt, picture)
            (self.plan, self.speeds, self.use) = (plan, speeds, use)
        }
    }

    private let groups: [Group]
    private let weights: Int

    /// - Parameters:
    ///   - groups: at least one
    ///   - weights: bytes of the weights on each host
    package init(_ groups: [Group], weights: Int) {
        (self.groups, self.weights) = (groups, weights)
    }

    private func sum(_ value: (RenderPlan) -> Int) -> Int {
        groups.reduce(0) { $0 + $1.count * value($1.plan) }
    }

    private var pictures: Int { groups.reduce(0) { $0 + $1.count } }

    /// Total time in seconds; nil unless all groups were measured.
    private var seconds: Double? {
        let times = groups.compactMap { group in
            group.speeds.map { Double(group.count) * group.plan.times(at: $0).total }
        }
        return times.count == groups.count ? times.reduce(0, +) : nil
    }

    /// Maximum number of groups that are listed as text.
    private static let maxRows = 40

    /// The plan as text: a line for each group, then the totals.
    package var lines: [String] {
        let rows = groups.prefix(Self.maxRows).map { group in
            let last = group.first + group.count
            let range = group.count == 1 ? "\(last)" : "\(group.first + 1)–\(last)"
            return [
                range, "\(group.plan.settings.size)", "\(group.count * group.plan.evaluations)",
                "\(group.seed)", short(group.prompt),
            ]
        }
        let table = TextTable.lines([["PICTURES", "SIZE", "UNET CALLS", "SEED", "PROMPT"]] + rows)
        let more =
            groups.count > Self.maxRows ? ["and \(groups.count - Self.maxRows) lines more"] : []
        return [""] + table + more + [
            "",
            "pictures          \(pictures)",
            "views             \(sum(\.views))",
            "UNet calls        \(sum(\.evaluations))",
            "latents moved     \(PlanTable.bytes(sum(\.viewBytes)))",
            "tiles moved       \(PlanTable.bytes(sum { $0.encodeBytes + $0.decodeBytes }))",
            "disk              at most \(PlanTable.bytes(sum(\.pictureBytes))) for the pictures",
        ] + (seconds.map { ["time              about \(PlanTable.duration($0))"] } ?? [])
    }

    private func short(_ prompt: String) -> String {
        let line = prompt.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return line.count > 48 ? "\(line.prefix(47))…" : line
    }

    /// The plan as JSON, in bytes and seconds.
    package struct Report: Encodable {
        package struct Item: Encodable {
            let first: Int
            let pictures: Int
            let seed: String
            let prompt: String
            let picture: String
            let plan: PlanReport.WithUse
        }

        let pictures: Int
        let views: Int
        let unetCalls: Int
        let latentBytes: Int
        let encodeBytes: Int
        let decodeBytes: Int
        let pictureBytes: Int
        let seconds: Double?
        /// Pictures that differ only in their seeds.
        let groups: [Item]
    }

    package var report: Report {
        Report(
            pictures: pictures,
            views: sum(\.views),
            unetCalls: sum(\.evaluations),
            latentBytes: sum(\.viewBytes),
            encodeBytes: sum(\.encodeBytes),
            decodeBytes: sum(\.decodeBytes),
            pictureBytes: sum(\.pictureBytes),
            seconds: seconds,
            groups: groups.map { group in
                Report.Item(
                    first: group.first + 1,
                    pictures: group.count,
                    seed: "\(group.seed)",
                    prompt: group.prompt,
                    picture: group.picture,
                    plan: PlanReport.WithUse(
                        PlanReport(group.plan, weights: weights, speeds: group.speeds),
                        group.use
                    )
                )
            }
        )
    }
}
