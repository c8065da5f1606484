import Sampling

/// The plan as JSON, in bytes, seconds and pixels.
package struct PlanReport: Encodable {
    package struct Phase: Encodable {
        let scale: Double
        let width: Int
        let height: Int
        let steps: Int
        let views: Int
        let bytesPerStep: Int
    }

    package struct Time: Encodable {
        let total: Double
        let phases: [Double]
        let encoding: Double
        let decoding: Double
        /// Views per second of each worker.
        let workers: [String: Double]
    }

    let width: Int
    let height: Int
    let seed: String
    let method: String
    let phases: [Phase]
    let stepsPerPhase: Int
    let views: Int
    let unetCalls: Int
    let latentBytes: Int
    let encodeTiles: Int
    let encodeBytes: Int
    let decodeTiles: Int
    let decodeBytes: Int
    let coordinatorBytes: Int
    let weightBytes: Int
    let pictureBytes: Int
    let checkpointBytes: Int
    let scratchBytes: Int
    /// Of tiles, on all workers together.
    let keptBytes: Int
    /// Seconds, if they were measured.
    let seconds: Time?

    /// - Parameters:
    ///   - plan: of the render
    ///   - weights: bytes of the weights on each host
    ///   - speeds: of the workers, if they were measured
    package init(_ plan: RenderPlan, weights: Int, speeds: MeasuredSpeeds?) {
        (width, height) = (plan.settings.size.width, plan.settings.size.height)
        // A JSON number would lose the low bits of a large seed.
        seed = "\(plan.settings.seed)"
        method = plan.settings.method.rawValue
        phases = plan.phases.indices.map { i in
            let size = plan.pixels(ofPhase: i)
            return Phase(
                scale: plan.phases[i].phase.scale,
                width: size.width,
                height: size.height,
                steps: plan.phases[i].steps.count,
                views: plan.phases[i].views,
                bytesPerStep: plan.bytesPerStep(ofPhase: i)
            )
        }
        (stepsPerPhase, views, unetCalls) = (plan.stepsRun, plan.views, plan.evaluations)
        latentBytes = plan.viewBytes
        encodeTiles = plan.allEncodes.reduce(0) { $0 + $1.tiles.count }
        encodeBytes = plan.encodeBytes
        decodeTiles = plan.decodes.reduce(0) { $0 + $1.tiles.count }
        decodeBytes = plan.decodeBytes
        (coordinatorBytes, weightBytes) = (plan.coordinatorBytes, weights)
        (pictureBytes, checkpointBytes) = (plan.pictureBytes, plan.checkpointBytes)
        (scratchBytes, keptBytes) = (plan.scratchBytes, plan.keptBytes)
        seconds = speeds.map { speeds in
            let times = plan.times(at: speeds)
            return Time(
                total: times.total,
                phases: times.phases,
                encoding: times.encoding,
                decoding: times.decoding,
                workers: Dictionary(
                    speeds.workers.map { ($0.name, 1 / $0.secondsPerView) },
                    uniquingKeysWith: { first, _ in first }
                )
            )
        }
    }
}
