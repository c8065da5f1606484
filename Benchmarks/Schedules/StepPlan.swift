import Coordinator
import Engine
import FleetSimulation
import Sampling

/// Steps of renders with a model of SDXL's shape.
enum StepPlan {
    /// - Returns: for a square picture, eight steps of DemoFusion's last phase, or the last three stages of refinement
    static func measured(_ method: Method, side: Int, config: String) throws -> [[StepFlow.Step]] {
        switch method {
        case .demofusion:
            let last = try plan(method, side: side, config: config).phases.suffix(1)
            return try last.map { phase in
                let middle = phase.steps.count / 2
                return try steps(middle..<middle + 8, of: phase)
            }
        case .refine:
            return try plan(method, side: side, config: config).phases.suffix(3).map {
                try steps($0.steps, of: $0)
            }
        }
    }

    /// - Returns: every step except those of the first phase
    static func whole(_ method: Method, side: Int, config: String) throws -> [[StepFlow.Step]] {
        try plan(method, side: side, config: config).phases.dropFirst().map {
            try steps($0.steps, of: $0)
        }
    }

    private static func steps(
        _ steps: Range<Int>,
        of phase: RenderPlan.PhasePlan
    ) throws -> [StepFlow.Step] {
        let noise = SeededNoise(seed: 1, kind: .philox)
        return try steps.map { step in
            guard let grid = phase.windows(at: step) else {
                preconditionFailure("a phase without windows")
            }
            return StepFlow.Step(
                windows: try noise.windows(of: grid, phase: phase.phase, step: step),
                lattices: phase.usesLattices(at: step) ? phase.lattices?.count ?? 0 : 0,
                // The inversion mixes its noise on the sphere: one angle for the whole latent.
                isBarrier: phase.refinement != nil && step == 0
            )
        }
    }

    private static func plan(
        _ method: Method,
        side: Int,
        config: String
    ) throws -> RenderPlan {
        var settings = RenderSettings(
            size: Extent(height: side, width: side),
            steps: 50,
            scheduler: .ddim
        )
        settings.method = method
        let scheduler = try Scheduler(.ddim, config: SchedulerConfig(file: config), steps: 50)
        return try RenderPlan(settings, model: geometry, scheduler: scheduler)
    }
}
