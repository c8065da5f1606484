/// A sampling method: where its steps lie, and the update of each step.
///
/// To add one, create a file here, a case of `SchedulerKind` and a line in `SchedulerKind.method`.
protocol SamplingMethod {
    /// Whether its update needs fresh noise.
    static var drawsNoise: Bool { get }

    /// Maximum number of steps in a run.
    static func maxSteps(_ config: SchedulerConfig) -> Int

    /// Timesteps, noise levels and updates of a run.
    ///
    /// - Parameters:
    ///   - kind: the sampler, if the method implements several
    ///   - config: how the model was trained, and how timesteps are laid out
    ///   - schedule: the training schedule
    ///   - span: how much of it the run covers, and in how many steps
    /// - Returns: the run
    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run
}

extension SamplingMethod {
    static var drawsNoise: Bool { false }
    static func maxSteps(_ config: SchedulerConfig) -> Int { config.trainTimesteps }
}

extension SchedulerKind {
    /// The sampling method of this sampler.
    var method: any SamplingMethod.Type {
        switch self {
        case .ddim: DDIM.self
        case .ddpm: DDPM.self
        case .pndm: PNDM.self
        case .euler: Euler.self
        case .eulerAncestral: EulerAncestral.self
        case .heun: Heun.self
        case .dpm2: DPM2.self
        case .dpm2Ancestral: DPM2Ancestral.self
        case .lms: LMS.self
        case .dpmSolver, .dpmSolver3, .dpmSolverSDE, .dpmSolver3SDE, .dpmSolverOfFile:
            DPMSolverMultistep.self
        case .dpmSDE: DPMSolverSDE.self
        case .uniPC: UniPC.self
        case .deis: DEIS.self
        case .lcm: LatentConsistency.self
        case .tcd: TrajectoryConsistency.self
        }
    }
}
