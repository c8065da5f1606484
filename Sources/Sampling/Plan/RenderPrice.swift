import Engine

/// The speed of this cluster, measured on a few of the render's own views.
package struct MeasuredSpeeds: Equatable, Sendable {
    /// A worker, and its time for one view of `viewArea` latent pixels.
    package struct Worker: Equatable, Sendable {
        package let name: String
        package let secondsPerView: Double

        package init(name: String, secondsPerView: Double) {
            (self.name, self.secondsPerView) = (name, secondsPerView)
        }
    }

    package var workers: [Worker]
    /// UNet evaluations per measured view.
    package var evaluationsPerView = 1
    /// UNet evaluations in the measured step of phase 1.
    package var globalEvaluations = 1
    /// Latent pixels per measured view.
    package var viewArea: Int
    /// Seconds per step of phase 1.
    package var globalStep: Double
    /// Seconds per step of the last phase that the coordinator needs, not counting the wait for views.
    package var coordinatorStep: Double
    /// Seconds that the coordinator needs to begin the last phase.
    package var coordinatorPhase: Double
    /// Seconds per latent pixel for decoding, by all workers together.
    package var decodePixel: Double
    /// Seconds per latent pixel for encoding.
    package var encodePixel: Double

    package init(
        workers: [Worker],
        viewArea: Int,
        globalStep: Double,
        coordinatorStep: Double = 0,
        coordinatorPhase: Double = 0,
        decodePixel: Double,
        encodePixel: Double = 0
    ) {
        self.workers = workers
        self.viewArea = viewArea
        self.globalStep = globalStep
        self.coordinatorStep = coordinatorStep
        self.coordinatorPhase = coordinatorPhase
        self.decodePixel = decodePixel
        self.encodePixel = encodePixel
    }

    /// Seconds until the workers have finished `count` views of the measured size, if each worker starts the next view
    /// as soon as it has finished one.
    package func time(forViews count: Int) -> Double {
        let paces = workers.map(\.secondsPerView).filter { $0 > 0 }
        guard count > 0, let fastest = paces.min() else { return 0 }
        func done(in time: Double) -> Int {
            paces.reduce(0) { $0 + Int((time / $1 + 1e-9).rounded(.down)) }
        }
        // Bisection. Upper bound: the fastest worker alone.
        var (low, high) = (0.0, fastest * Double(count))
        for _ in 0..<60 {
            let middle = (low + high) / 2
            if done(in: middle) >= count { high = middle } else { low = middle }
        }
        return high
    }
}

/// The estimated cost of a render, other than evaluations and bytes on the wire.
extension RenderPlan {
    /// Seconds per phase, for encoding pictures, and for decoding.
    package struct Times: Equatable, Sendable {
        package let phases: [Double]
        package let encoding: Double
        package let decoding: Double

        package var total: Double { phases.reduce(encoding + decoding, +) }
    }

    /// The estimated time at the measured speeds.
    ///
    /// The cost of a view is proportional to its area, and the coordinator's own work to the area of the latent.
    package func times(at speeds: MeasuredSpeeds) -> Times {
        let last = Double(phases[phases.count - 1].phase.latent.area)
        let times = phases.map { phase -> Double in
            let steps = phase.steps
            guard !steps.isEmpty else { return 0 }
            guard !phase.isWhole else {
                let evaluations = steps.reduce(0) { $0 + phase.evaluationsPerView(at: $1) }
                return Double(evaluations) / Double(speeds.globalEvaluations) * speeds.globalStep
            }
            let share = Double(phase.phase.latent.area) / last
            let steady = Double(steps.count) * speeds.coordinatorStep
            let own = (steady + speeds.coordinatorPhase) * share
            // Steps differ only in which of the two paths they evaluate, and in guidance.
            var known: [[Int]: Double] = [:]
            return steps.reduce(own) { sum, step in
                let (count, area) = (phase.views(at: step), phase.viewArea(at: step))
                let time =
                    known[[count, area]]
                    ?? speeds.time(forViews: count) * Double(area) / Double(count * speeds.viewArea)
                known[[count, area]] = time
                return sum + time * Double(phase.evaluationsPerView(at: step))
                    / Double(speeds.evaluationsPerView)
            }
        }
        func pixels(_ plan: TilePlan) -> Double { plan.evaluations * Double(plan.latent.area) }
        return Times(
            phases: times,
            encoding: allEncodes.map(pixels).reduce(0, +) * speeds.encodePixel,
            decoding: decodes.map(pixels).reduce(0, +) * speeds.decodePixel
        )
    }

    /// Bytes of a float32 latent of the last phase.
    private var latentBytes: Int {
        phases[phases.count - 1].phase.latent.area * model.latentChannels * 4
    }

    /// Maximum bytes of latents, views and predictions that the coordinator holds at once: about twelve latents (the
    /// state, the upsampled latent, the noise, the skip residual, temporaries of blurring and fusion, and a second copy
    /// of noise and lattices for early views), two more if they are constrained to a picture, and the step's views and
    /// predictions together with those of the next step's early views; or the tiles of a picture that is encoded,
    /// twice. The program itself is not counted, nor are the networks if it renders phase 1 itself.
    package var coordinatorBytes: Int {
        let views =
            phases.map { phase in
                phase.steps.map { phase.viewArea(at: $0) }.max() ?? 0
            }.max() ?? 0
        let latents = isConstrained ? 14 : 12
        let tiles = allEncodes.map(TiledEvaluation.maxBytes).max() ?? 0
        let step = 2 * views * model.latentChannels * 4
        return latents * latentBytes + max(step + min(step, EarlyViews.maxBytes), 2 * tiles)
    }

    /// Whether any phase is constrained to the init image or keeps a part of it.
    private var isConstrained: Bool {
        settings.isMasked || phases.contains { $0.constraint != nil }
    }

    /// Bytes on disk, during a render, of an init image or an enlarged picture at the size of a phase.
    package var scratchBytes: Int {
        func bytes(_ index: Int, _ numbers: ScaledPicture.Numbers) -> Int {
            let size = pixels(ofPhase: index)
            return ScaledPicture.bytes(height: size.height, width: size.width, numbers)
        }
        let all =
            encodes.keys.map { bytes($0, .rounded) } + enlargements.keys.map { bytes($0, .exact) }
        // At the end of a render with a mask: the init image and the mask.
        let pasted = settings.isMasked ? 2 * bytes(phases.count - 1, .rounded) : 0
        return max(all.max() ?? 0, pasted)
    }

    /// Maximum bytes of tiles, in float32, that all workers together keep in memory and on disk.
    package var keptBytes: Int {
        (decodes + allEncodes).map { $0.numbersKept * MemoryLayout<Float>.size }.max() ?? 0
    }

    /// Maximum bytes on disk of the checkpoint: the latent, the upsampled latent, the last estimate, the latent of the
    /// init image, and phase 1's latent; twice, while one file replaces another.
    package var checkpointBytes: Int {
        let first = phases[0].phase.latent.area * model.latentChannels * 4
        return 2 * ((isConstrained ? 4 : 3) * latentBytes + first) + 64 << 10
    }

    /// Maximum bytes of the picture on disk: its pixels if nothing can be compressed.
    package var pictureBytes: Int {
        let raw = settings.size.height * (3 * settings.size.width + 1)
        return raw + raw / 100 + 64 << 10
    }
}
