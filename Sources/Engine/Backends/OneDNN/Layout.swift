import CKernels
import COneDNN

/// The memory layout of an operation's weights: oneDNN's own layout, or panel by panel the layout that oneDNN uses for
/// each panel in float32, rounded to bfloat16.
final class Layout {
    /// Layouts of a full-width panel (`raw`) and of a narrower last panel (`rest`); without
    /// panels, `raw` covers all outputs.
    let raw: tessera_dnnl_layout
    private let rest: tessera_dnnl_layout?
    /// Nil if weights are multiplied as they are stored.
    let panels: Panels?

    init(_ extents: Extents, element: Element, _ multiplication: Multiplication) {
        let isWidened = multiplication == .widened && element == .bfloat16
        let panels =
            isWidened ? Panels(outputs: extents.outputs, depth: extents.sizes.depth) : nil
        let stored = isWidened ? Element.float32 : element
        raw = Self.raw(extents.with(outputs: panels?.width ?? extents.outputs), stored)
        rest = panels.flatMap { panels in
            panels.rest > 0 ? Self.raw(extents.with(outputs: panels.rest), stored) : nil
        }
        self.panels = panels
    }

    private static func raw(_ extents: Extents, _ element: Element) -> tessera_dnnl_layout {
        let raw: tessera_dnnl_layout?
        switch extents {
        case .product(_, let inputs, let outputs):
            raw = tessera_dnnl_matrix_layout(inputs, outputs, element.rawValue)
        case .convolution:
            var convolution = extents.convolution
            raw = tessera_dnnl_kernel_layout(&convolution, element.rawValue)
        }
        guard let raw else { preconditionFailure("oneDNN has no layout for \(extents)") }
        return raw
    }

    deinit {
        tessera_dnnl_free_layout(raw)
        tessera_dnnl_free_layout(rest)
    }

    /// The layout of a panel.
    func raw(of panel: Int) -> tessera_dnnl_layout {
        guard let panels, panel >= panels.whole, let rest else { return raw }
        return rest
    }

    /// Number of float32 elements in a panel's packed weights.
    func floats(of panel: Int) -> Int { tessera_dnnl_packed_size(raw(of: panel)) / 4 }

    /// Bytes of packed weights.
    var size: Int {
        guard let panels else { return tessera_dnnl_packed_size(raw) }
        return panels.all.indices.reduce(0) { $0 + floats(of: $1) * 2 }
    }

    /// Whether weights packed for this layout also suit the other one.
    func isSame(as other: Layout) -> Bool {
        if self === other { return true }
        guard panels == other.panels, tessera_dnnl_same_layout(raw, other.raw) != 0 else {
            return false
        }
        guard let rest, let others = other.rest else { return true }
        return tessera_dnnl_same_layout(rest, others) != 0
    }

    /// Packs row-major weights into `size` bytes.
    func pack(_ weights: Tensor, into memory: UnsafeMutableRawPointer) {
        let depth = weights.count / weights.shape[0]
        weights.withFloats { from in
            guard let start = from.baseAddress else { return }
            each(into: memory) { panel, first, to in
                tessera_dnnl_pack(raw(of: panel), start + first * depth, to)
            }
        }
    }

    /// Repacks weights from another layout with the same panels into `size` bytes.
    func pack(
        _ packed: UnsafeRawPointer,
        of other: Layout,
        into memory: UnsafeMutableRawPointer
    ) {
        precondition(panels == other.panels)
        var at = packed
        each(into: memory) { panel, _, to in
            guard panels != nil else {
                return tessera_dnnl_repack(other.raw, packed, raw, to)
            }
            let count = other.floats(of: panel)
            defer { at += count * 2 }
            return withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { floats in
                guard let wide = floats.baseAddress else { return 1 }
                tessera_from_bfloat(at, wide, count)
                return tessera_dnnl_repack(other.raw(of: panel), wide, raw(of: panel), to)
            }
        }
    }

    /// Fills `memory` panel by panel. `fill` gets the panel, its first output and where to
    /// write; it returns 0 on success.
    private func each(
        into memory: UnsafeMutableRawPointer,
        _ fill: (_ panel: Int, _ first: Int, UnsafeMutableRawPointer) -> Int32
    ) {
        guard let panels else {
            let status = fill(0, 0, memory)
            return precondition(status == 0, "oneDNN cannot pack weights")
        }
        var to = memory
        for (panel, place) in panels.all.enumerated() {
            let count = floats(of: panel)
            let wide = UnsafeMutablePointer<Float>.allocate(capacity: count)
            defer { wide.deallocate() }
            let status = fill(panel, place.first, wide)
            precondition(status == 0, "oneDNN cannot pack weights")
            tessera_from_float(wide, to, count, Element.bfloat16.rawValue)
            to += count * 2
        }
    }
}
