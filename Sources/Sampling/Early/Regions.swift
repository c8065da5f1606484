import Engine

// Crops of the data that a step works on.

extension Tensor {
    /// A crop of `[1, height, width, channels]`.
    func cropped(to region: Region) -> Tensor {
        cropped(
            top: region.rows.lowerBound,
            left: region.columns.lowerBound,
            height: region.rows.count,
            width: region.columns.count
        )
    }

    /// Zero-pads the part of the latent that a window reads, where the window extends into the margin.
    func framed(_ region: Region, as window: Window) -> Tensor {
        let bottom = window.top + window.height - region.rows.upperBound
        let right = window.left + window.width - region.columns.upperBound
        let (top, left) = (
            region.rows.lowerBound - window.top, region.columns.lowerBound - window.left
        )
        return max(top, left, bottom, right) == 0
            ? self : padded(top: top, left: left, bottom: bottom, right: right)
    }
}

extension SamplerState {
    /// Crops the state, for operations that work pixel by pixel.
    func cropped(to region: Region) -> SamplerState {
        var part = self
        part.latent = latent.cropped(to: region)
        part.history = Scheduler.History(history.tensors.map { $0.cropped(to: region) })
        part.source = source.map {
            ($0.upsampled.cropped(to: region), $0.noise.cropped(to: region))
        }
        (part.anchor, part.means) = (nil, nil)
        part.picture = picture?.cropped(to: region)
        part.mask = mask?.cropped(to: region)
        return part
    }
}
