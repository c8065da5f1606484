import Engine
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

    /// What a render would use.
    package struct Use: Encodable, Sendable {
        /// Path of the model.
        let model: String
        let family: String
        /// What the network predicts.
        let prediction: String
        let scheduler: String
        let steps: Int
        let guidance: Double
        let backend: String
        let precision: String
        let device: String
        /// Adapters as given to `--lora`.
        let adapters: [String]
        /// Everything that the picture's text would record, and the settings that it omits at their defaults, by flag.
        let settings: [String: JSON]

        /// - Parameters:
        ///   - session: the planned render
        ///   - computation: options of the coordinator's networks, and of workers that it starts
        package init(_ session: RenderSession, _ computation: Rendering.Computation) {
            let own = session.plan.settings
            model = session.model.path
            family = session.model.family.name
            prediction = session.prediction.rawValue
            (scheduler, steps) = (own.scheduler.rawValue, own.steps)
            guidance = Double("\(own.guidance)") ?? Double(own.guidance)
            let engine = computation.globalPass
            (backend, precision) = (engine.backend.rawValue, engine.precision.rawValue)
            device = engine.device.rawValue
            adapters = session.model.adapters.map(\.source.argument)
            let text = session.text(digest: "").json
            var fields = (try? JSON(text.utf8, place: "plan"))?.object ?? [:]
            fields["model-digest"] = nil
            for setting in Settings.all where fields[setting.name] == nil {
                let value = setting.json(of: session.plan.resolvedSettings)
                if value != .null { fields[setting.name] = value }
            }
            settings = fields
        }
    }

    /// A plan with what the render would use, as one object.
    package struct WithUse: Encodable {
        let plan: PlanReport
        let use: Use?
        /// What each preset would cost.
        let presets: [PresetPrice]

        package init(_ plan: PlanReport, _ use: Use?, _ presets: [PresetPrice] = []) {
            (self.plan, self.use, self.presets) = (plan, use, presets)
        }

        package func encode(to encoder: any Encoder) throws {
            try plan.encode(to: encoder)
            try use?.encode(to: encoder)
            guard !presets.isEmpty else { return }
            var fields = encoder.container(keyedBy: Field.self)
            try fields.encode(presets, forKey: .presets)
        }

        private enum Field: CodingKey { case presets }
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
    /// Bytes of tiles that all workers together keep.
    let keptBytes: Int
    /// Times in seconds, if speeds were measured.
    let seconds: Time?

    /// - Parameters:
    ///   - plan: the render's plan
    ///   - weights: bytes of the weights on each host
    ///   - speeds: the workers' speeds, if they were measured
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
