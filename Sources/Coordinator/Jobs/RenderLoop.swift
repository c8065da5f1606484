import Engine
import Sampling

/// Renders one picture: drives the sampler through all steps on a renderer, and decodes the result.
package struct RenderLoop {
    let sampler: Sampler
    private let renderer: any UnitRenderer
    private let globalPass: LocalRenderer?
    let picture: InitPicture?
    let mask: MaskPicture?
    private let observe: (RenderEvent) throws -> Void

    /// - Parameters:
    ///   - sampler: the plan's sampler
    ///   - renderer: predicts views and decodes tiles
    ///   - globalPass: renders phase 1; nil if `renderer` does
    ///   - picture: the init image, if the plan has one
    ///   - mask: which part of it changes, if only a part does
    ///   - observe: called with progress; an error it throws ends the render
    package init(
        sampler: Sampler,
        renderer: any UnitRenderer,
        globalPass: LocalRenderer? = nil,
        picture: InitPicture? = nil,
        mask: MaskPicture? = nil,
        observe: @escaping (RenderEvent) throws -> Void
    ) {
        self.sampler = sampler
        self.renderer = renderer
        self.globalPass = globalPass
        (self.picture, self.mask) = (picture, mask)
        self.observe = observe
    }

    /// Runs all phases, or those that remain.
    ///
    /// - Parameters:
    ///   - noise: the noise source, at the position of the state
    ///   - start: the state to continue from; nil starts at the beginning
    ///   - reached: called with the state after every step
    /// - Returns: the final latent, `[1, height, width, channels]`
    /// - Throws: what the renderer, the noise source or the observer throws
    package func sample(
        noise: inout some NoiseSource,
        from start: SamplerState? = nil,
        reached: (SamplerState, _ drawn: Int) -> Void = { _, _ in }
    ) throws -> Tensor {
        let phases = sampler.plan.phases
        var state: SamplerState
        if let start {
            state = start
        } else {
            state = try sampler.start(noise, picture: try encoded(forPhase: 0))
            if phases[0].steps.isEmpty {
                // This phase shows the init image unchanged.
                try observe(.phase(0, phases[0].phase))
                try observe(.finished(0, state.latent))
                try sampler.finish(&state, noise, picture: encoded(forPhase:))
            }
        }
        var opened: Int?
        var input: (phase: Int, picture: Tensor?)?
        while state.phase < phases.count {
            let (phase, step) = (state.phase, state.step)
            if opened != phase { try observe(.phase(phase, phases[phase].phase)) }
            opened = phase
            if state.awaitsEnlargement {
                let latent = try enlarged(state.latent, forPhase: phase)
                let picture = try encoded(forPhase: phase)
                try sampler.begin(&state, enlarged: latent, noise, picture: picture)
                reached(state, noise.drawn)
            }
            if input?.phase != phase { input = (phase, try pictureInput(forPhase: phase)) }
            let work = try sampler.work(for: state, picture: input?.picture, noise: &noise)
            try observe(.step(step, views: work.views.count))
            try observe(.places(sampler.places(of: work, at: state)))
            var early = sampler.early(
                after: work,
                at: state,
                picture: input?.picture,
                noise: noise
            )
            let predictions =
                try phases[phase].isWhole
                ? predict(whole: work.views) : predict(work.views, early: &early)
            let prediction = sampler.fuse(predictions, of: work, at: state)
            try observe(.predicted(sampler.estimate(prediction, of: work, at: state)))
            let finished = try sampler.advance(
                &state,
                work,
                prediction: prediction,
                noise: noise,
                picture: encoded(forPhase:)
            )
            if let finished { try observe(.finished(phase, finished)) }
            if finished != nil, phases[phase].isWhole { globalPass?.release() }
            reached(state, noise.drawn)
        }
        return state.latent
    }

    /// Predicts the views of one step.
    private func predict(_ views: [WorkUnit], early: inout EarlyViews?) throws -> [Tensor] {
        try renderer.evaluate(views, early: &early) { _ in try observe(.view) }.map(\.wholeTensor)
    }

    /// Predicts the views of a global phase's step, on `globalPass` if there is one.
    func predict(whole views: [WorkUnit]) throws -> [Tensor] {
        let renderer: any UnitRenderer = globalPass ?? renderer
        // A single view would keep only one worker busy, so the two halves of guidance are separate units; in this
        // process they form one batch.
        return try views.map { view in
            var result = try renderer.evaluate(view.halves ?? [view]) { _ in }
            if result.count > 1 { result = [view.joined(result)] }
            guard result[0].isFinite else {
                throw UnitFailed(unit: view.name, reasons: ["guidance made it NaN or infinite"])
            }
            try observe(.view)
            return result[0].wholeTensor
        }
    }

    /// The init image and its mask as latents for a phase; nil if there is none.
    ///
    /// - Throws: what the picture's file, the renderer or the observer throws
    func encoded(forPhase index: Int) throws -> PhasePicture? {
        guard let start = sampler.plan.settings.picture, let picture else { return nil }
        guard let plan = sampler.plan.encodes[index] else { return nil }
        let scaled = try picture.scaled(
            to: sampler.plan.pixels(ofPhase: index),
            frame: start.frame
        )
        let latent = try encode(plan, scaled.part)
        let masked = try mask?.latent(plan.latent, factor: plan.factor, frame: start.frame)
        return PhasePicture(latent: latent, mask: masked)
    }

    /// Decodes the final latent; if there is a mask, everything outside it is the init image's own.
    ///
    /// - Parameters:
    ///   - latent: the latent of the last phase
    ///   - sink: receives the rows
    /// - Throws: as `decode`, and what the picture's files throw
    func finish(_ latent: Tensor, to sink: inout FileSink) throws {
        guard let mask, let picture, let start = sampler.plan.settings.picture else {
            return try decode(latent, to: &sink)
        }
        let size = sampler.plan.pixels(ofPhase: sampler.plan.phases.count - 1)
        var paste = PasteSink(
            sink,
            picture: try picture.scaled(to: size, frame: start.frame),
            mask: try mask.scaled(to: size, frame: start.frame)
        )
        try decode(latent, to: &paste)
        sink = paste.finished
    }

    /// A finished latent at the size of the next phase: decoded, enlarged with a Lanczos filter and encoded. The
    /// picture is kept on disk in between.
    ///
    /// - Throws: what the renderer or the observer throws, `OutputError` if the disk is full
    private func enlarged(_ latent: Tensor, forPhase index: Int) throws -> Tensor {
        let plan = sampler.plan
        guard let ways = plan.enlargements[index] else {
            preconditionFailure("phase \(index) is not planned to be enlarged")
        }
        let (from, to) = (plan.pixels(ofPhase: index - 1), plan.pixels(ofPhase: index))
        let scaled = try ScaledPicture(
            PictureFrame(rows: 0..<Double(from.height), columns: 0..<Double(from.width)),
            of: (from.height, from.width),
            height: to.height,
            width: to.width,
            numbers: .exact
        ) { take in
            try decode(latent, ways.decode, as: .enlarging(tiles: ways.decode.tiles.count)) {
                try $0.pictureRows(take)
            }
        }
        return try encode(ways.encode, scaled.part)
    }

    /// Encodes a picture, of which `part` returns a region of pixels.
    func encode(_ plan: TilePlan, _ part: @escaping (Region) throws -> Tensor) throws -> Tensor {
        let tiles = PictureTiles(latent: plan.latent, factor: plan.factor, part: part)
        var rows: [Tensor] = []
        try evaluate(tiles, plan, as: .encoding(tiles: plan.tiles.count)) { rows.append($0) }
        return Tensor(stacked: rows)
    }

    /// Decodes a latent, writing rows to the sink as they complete.
    ///
    /// - Throws: what the renderer, the observer or the sink throws
    package func decode(_ latent: Tensor, to sink: inout some PictureSink) throws {
        let model = sampler.plan.model
        let plan = TilePlan(
            decoding: Extent(height: latent.shape[1], width: latent.shape[2]),
            margin: sampler.plan.settings.decodeMargin,
            model: model
        )
        try decode(latent, plan, as: .decoding(tiles: plan.tiles.count)) { try sink.write($0) }
    }

    /// Decodes a latent with a margin, which is cut off the picture.
    private func decode(
        _ latent: Tensor,
        _ plan: TilePlan,
        as event: RenderEvent,
        _ body: (Tensor) throws -> Void
    ) throws {
        let margin = sampler.plan.settings.decodeMargin
        let size = Extent(height: latent.shape[1], width: latent.shape[2])
        var crop = MarginCrop(
            margin: margin * plan.factor,
            size: Extent(height: size.height * plan.factor, width: size.width * plan.factor)
        )
        try evaluate(latent.edgePadded(by: margin), plan, as: event) { rows in
            if let kept = crop.crop(rows) { try body(kept) }
        }
    }

    /// Decodes or encodes, whole or in tiles.
    ///
    /// - Parameters:
    ///   - source: the latent or the picture
    ///   - plan: how it is cut into tiles
    ///   - event: reported first
    ///   - body: receives the result, from top to bottom
    /// - Throws: what the source, the renderer, the observer or `body` throws
    private func evaluate(
        _ source: any TileSource,
        _ plan: TilePlan,
        as event: RenderEvent,
        _ body: (Tensor) throws -> Void
    ) throws {
        try observe(event)
        guard !plan.isWhole else {
            let whole = WorkUnit.tile(0, plan.network.half, try source.cut(plan.tiles[0]))
            return try body(
                renderer.evaluate([whole]) { _ in try observe(.tile) }[0].wholeTensor
            )
        }
        let tiles = try TiledEvaluation(source, plan: plan, on: renderer, observe: observe)
        try observe(.finalPass(tiles: plan.tiles.count))
        try tiles.finish(body)
    }
}
