import Foundation

/// The plan as people read it.
package enum PlanTable {
    /// One line per phase, then the sums.
    package static func lines(_ plan: RenderPlan) -> [String] {
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
            let perStep = phase.weights.indices.map(phase.views(at:)).max() ?? 0
            return row(
                "\(i + 1)",
                number(phase.phase.scale),
                "\(plan.pixels(ofPhase: i))",
                "\(phase.phase.latent)",
                phase.windows.map { "\($0.count)" } ?? "whole",
                phase.lattices.map { "\($0.count)" } ?? "–",
                "\(perStep)",
                "\(phase.views)",
                bytes(plan.bytesPerStep(ofPhase: i))
            )
        }
        let halves = plan.settings.guides ? "two per view, with guidance" : "one per view"
        let tiles = plan.decode.tiles.count
        return [header] + phases + [
            "",
            "steps per phase   \(plan.settings.steps)",
            "views             \(plan.views)",
            "UNet calls        \(plan.evaluations) (\(halves))",
            "latents moved     \(bytes(plan.viewBytes)) to and from workers as "
                + "\(plan.settings.wire.rawValue)",
            "decoding          \(tiles == 1 ? "whole" : "\(tiles) tiles"), "
                + "\(bytes(plan.decodeBytes)) moved",
        ]
    }

    private static func row(_ cells: String...) -> String {
        let widths = [5, 7, 13, 11, 9, 9, 11, 9, 12]
        return Swift.zip(cells, widths).map { cell, width in
            String(repeating: " ", count: max(1, width - cell.count)) + cell
        }.joined()
    }

    private static func number(_ x: Double) -> String {
        x == x.rounded() ? String(Int(x)) : String(format: "%.3f", x)
    }

    /// A number of bytes in the largest unit that leaves it above one.
    package static func bytes(_ count: Int) -> String {
        var (value, units) = (Double(count), ["bytes", "KB", "MB", "GB", "TB"])
        while value >= 1000, units.count > 1 {
            value /= 1000
            units.removeFirst()
        }
        return units[0] == "bytes" ? "\(count) bytes" : String(format: "%.1f %@", value, units[0])
    }
}
