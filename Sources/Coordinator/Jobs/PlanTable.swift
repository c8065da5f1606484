import Engine
import Foundation
import Sampling

/// The plan as text.
package enum PlanTable {
    /// One line per phase, then the totals.
    ///
    /// - Parameters:
    ///   - plan: the render's plan
    ///   - prompts: the prompts, if they should be listed
    ///   - suggestion: settings that the model's own file suggests
    ///   - use: what the render would use, if it should be listed
    ///   - weights: bytes of the weights on each host
    ///   - speeds: the workers' speeds, if they were measured
    /// - Returns: the lines
    package static func lines(
        _ plan: RenderPlan,
        prompts: PromptPair? = nil,
        suggestion: String? = nil,
        use: PlanReport.Use? = nil,
        weights: Int,
        speeds: MeasuredSpeeds? = nil
    ) -> [String] {
        let header = row(
            "phase",
            "scale",
            "pixels",
            "latent",
            "windows",
            "lattices",
            "views/step",
            "views",
            "moved/step"
        )
        let phases = plan.phases.indices.map { i in
            let phase = plan.phases[i]
            let perStep = phase.steps.map(phase.views(at:)).max() ?? 0
            return row(
                "\(i + 1)",
                number(phase.phase.scale),
                "\(plan.pixels(ofPhase: i))",
                "\(phase.phase.latent)",
                phase.steps.isEmpty
                    ? "picture" : phase.windows.map { "\($0.count)" } ?? "whole",
                phase.steps.isEmpty ? "–" : phase.lattices.map { "\($0.count)" } ?? "–",
                "\(perStep)",
                "\(phase.views)",
                bytes(plan.bytesPerStep(ofPhase: i))
            )
        }
        let refinement = plan.settings.refinement
        let halves =
            switch plan.evaluations {
            case plan.views: "one per view"
            case 2 * plan.views: "two per view, with guidance"
            default: "two per guided view"
            }
        let skipped = plan.settings.steps - plan.stepsRun
        let isWhollyRefined = plan.phases.allSatisfy { $0.refinement != nil }
        let steps =
            (isWhollyRefined
                ? [] : ["\(plan.stepsRun)" + (skipped == 0 ? "" : " of \(plan.settings.steps)")])
            + (refinement.map { ["an inversion and \($0.steps) in each stage of refinement"] } ?? [])
        return [header] + phases + [
            ""
        ] + (prompts.map { ["prompt            \($0.summary)"] } ?? [])
            + (suggestion.map { ["suggested         \($0)"] } ?? [])
            + (use.map { lines($0, plan.settings) } ?? []) + [
                "method            \(plan.settings.method.rawValue)",
                "steps per phase   \(steps.joined(separator: "; "))",
                "views             \(plan.views)",
                "UNet calls        \(plan.evaluations) (\(halves))",
                "latents moved     \(bytes(plan.viewBytes)) to and from workers as "
                    + "\(plan.settings.wire.rawValue), every view sent once",
            ] + encoding(plan) + [
                "decoding          \(tiles(plan.decode)), \(bytes(plan.decodeBytes)) moved",
                "memory            about \(bytes(plan.coordinatorBytes)) of latents and views on the "
                    + "coordinator; weights of \(bytes(weights)) on each host",
                "disk              at most \(bytes(plan.pictureBytes)) for the picture, "
                    + "\(bytes(plan.checkpointBytes)) to resume"
                    + (plan.scratchBytes == 0
                        ? "" : ", \(bytes(plan.scratchBytes)) while it renders"),
            ] + kept(plan)
            + (speeds.map { times(plan, at: $0) } ?? ["time              not measured: --measure"])
    }

    private static func lines(_ use: PlanReport.Use, _ settings: RenderSettings) -> [String] {
        let levels = settings.karras ? "karras" : settings.schedule.levels?.rawValue
        let sampler = use.scheduler + (levels.map { ", \($0) noise levels" } ?? "")
        return [
            "model             \(use.model) (\(use.family))",
            "sampler           \(sampler), guidance \(use.guidance)",
            "computed          with \(use.backend) in \(use.precision)",
        ] + use.adapters.map { "adapter           \($0)" }
    }

    private static func tiles(_ plan: TilePlan) -> String {
        plan.isWhole ? "whole" : "\(plan.tiles.count) tiles"
    }

    private static func kept(_ plan: RenderPlan) -> [String] {
        guard plan.keptBytes > 0 else { return [] }
        return [
            "workers           keep up to \(bytes(plan.keptBytes)) of tiles in all, half of it in "
                + "bfloat16: \(bytes(TileStates.bytes)) in each one's memory (more on a device with free memory), the rest on its disk"
        ]
    }

    /// Phases for which a picture is encoded, with the number of tiles of each.
    private static func encoding(_ plan: RenderPlan) -> [String] {
        let all = plan.encodes.merging(plan.enlargements.mapValues(\.encode)) { first, _ in first }
            .merging(plan.inputEncodes) { first, _ in first }
        guard !all.isEmpty else { return [] }
        let phases = all.sorted { $0.key < $1.key }.map {
            "\(tiles($0.value)) for phase \($0.key + 1)"
        }
        return [
            "encoding          \(phases.joined(separator: ", ")), "
                + "\(bytes(plan.encodeBytes)) moved"
        ]
    }

    /// Each worker's speed, and how long the render takes with all of them.
    private static func times(_ plan: RenderPlan, at speeds: MeasuredSpeeds) -> [String] {
        let times = plan.times(at: speeds)
        let phases = times.phases.map(duration).joined(separator: ", ")
        let workers = speeds.workers.map { worker in
            "  \(worker.name)  " + String(format: "%.2f views/s", 1 / worker.secondsPerView)
        }
        let encoding =
            plan.allEncodes.isEmpty ? "" : "encoding \(duration(times.encoding)); "
        let detail = "\(encoding)phases \(phases); decoding \(duration(times.decoding))"
        return [
            "time              about \(duration(times.total)) (\(detail))",
            "measured          \(speeds.workers.count) workers on views of "
                + "\(speeds.viewArea) latent pixels",
        ] + workers
    }

    /// A duration as text.
    package static func duration(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded())
        if whole < 60 { return String(format: "%.1f s", seconds) }
        if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
        return "\(whole / 3600) h \(whole % 3600 / 60) min"
    }

    private static func row(_ cells: String...) -> String {
        TextTable.line(cells, rightAlignedIn: [5, 7, 13, 11, 9, 9, 11, 9, 12])
    }

    private static func number(_ x: Double) -> String {
        x == x.rounded() ? String(Int(x)) : String(format: "%.3f", x)
    }

    /// A number of bytes, in the largest unit in which it is at least one.
    package static func bytes(_ count: Int) -> String {
        var (value, units) = (Double(count), ["bytes", "KB", "MB", "GB", "TB"])
        while value >= 1000, units.count > 1 {
            value /= 1000
            units.removeFirst()
        }
        return units[0] == "bytes" ? "\(count) bytes" : String(format: "%.1f %@", value, units[0])
    }
}
