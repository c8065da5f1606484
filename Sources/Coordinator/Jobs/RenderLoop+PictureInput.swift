import Engine
import Sampling

extension RenderLoop {
    /// What the network takes as input besides the latent in a phase.
    ///
    /// - Parameter index: index of the phase, counted from 0
    /// - Returns: `[1, height, width, channels]`, as `PictureInput` describes it; nil if the network takes nothing else
    /// - Throws: what the picture's files, the renderer or the observer throw
    func pictureInput(forPhase index: Int) throws -> Tensor? {
        let plan = sampler.plan
        guard let tiles = plan.inputEncodes[index] else { return nil }
        let size = plan.pixels(ofPhase: index)
        switch plan.model.pictureInput {
        case .none: return nil
        case .editing:
            guard let picture, let frame = plan.settings.frame else {
                preconditionFailure("a model that edits without a picture")
            }
            let scaled = try picture.scaled(to: size, frame: frame)
            return try encode(tiles, scaled.part) * (1 / plan.model.latentScale)
        case .inpainting:
            guard let picture, let mask, let frame = plan.settings.frame else {
                // Without a mask everything is painted.
                let (height, width) = (tiles.latent.height, tiles.latent.width)
                let ones = Tensor(
                    Array(repeating: 1, count: height * width),
                    shape: [1, height, width, 1]
                )
                let nothing = try encode(tiles) {
                    Tensor(zeros: [1, $0.rows.count, $0.columns.count, 3])
                }
                return Tensor(channelsOf: ones, and: nothing)
            }
            let scaled = try picture.scaled(to: size, frame: frame)
            let covering = try mask.scaled(to: size, frame: frame)
            let kept = try encode(tiles) { region in
                Self.clearing(try scaled.part(region), where: try covering.part(region))
            }
            let changes = try mask.latent(tiles.latent, factor: tiles.factor, frame: frame)
            return Tensor(channelsOf: changes, and: kept)
        }
    }

    /// A part of a picture, grey (0) where the mask is white.
    private static func clearing(_ picture: Tensor, where mask: Tensor) -> Tensor {
        let changes = MaskPicture.changes(mask)
        return Tensor(shape: picture.shape) { out in
            picture.withFloats { x in
                for i in out.indices { out[i] = changes[i / 3] ? 0 : x[i] }
            }
        }
    }
}
