import Engine

/// Renders one picture: drives the sampler through all steps on a renderer, and decodes the result.
package struct RenderJob {
    private let sampler: Sampler
    private let renderer: any ViewRenderer
    private let observe: (RenderEvent) throws -> Void

    package init(
        sampler: Sampler,
        renderer: any ViewRenderer,
        observe: @escaping (RenderEvent) throws -> Void
    ) {
        self.sampler = sampler
        self.renderer = renderer
        self.observe = observe
    }

    /// Runs every phase.
    ///
    /// - Returns: the final latent, `[1, height, width, channels]`
    /// - Throws: what the renderer, the noise source or the observer throws
    package func sample(noise: inout some NoiseSource) throws -> Tensor {
        let phases = sampler.plan.phases
        var state = try sampler.start(noise)
        while state.phase < phases.count {
            let (phase, step) = (state.phase, state.step)
            if step == 0 { try observe(.phase(phase, phases[phase].phase)) }
            let work = try sampler.work(for: state, noise: &noise)
            try observe(.step(step, views: work.views.count))
            let predictions = try renderer.predict(work.views) { _ in try observe(.view) }
            let prediction = sampler.fuse(predictions, of: work, at: state)
            let finished = try sampler.advance(&state, work, prediction: prediction, noise: noise)
            if let finished { try observe(.finished(phase, finished)) }
        }
        return state.latent
    }

    /// Decodes a latent, writing rows to the sink as they complete.
    ///
    /// - Throws: what the renderer, the observer or the sink throws
    package func decode(_ latent: Tensor, to sink: inout some PictureSink) throws {
        let extent = Extent(height: latent.shape[1], width: latent.shape[2])
        let plan = DecodePlan(latent: extent, factor: sampler.plan.model.vaeFactor)
        var assembly = PictureAssembly(plan)
        try observe(.decoding(tiles: plan.tiles.count))
        for row in plan.rows {
            let requests = plan.tiles(in: row).enumerated().map { index, tile in
                TileRequest(
                    index: index,
                    latent: latent.cropped(
                        top: tile.latentRows.lowerBound,
                        left: tile.latentColumns.lowerBound,
                        height: tile.latentRows.count,
                        width: tile.latentColumns.count
                    )
                )
            }
            let tiles = try renderer.decode(requests) { _ in try observe(.tile) }
            try sink.write(assembly.add(tiles))
        }
    }
}
