/// Memory for activations.
///
/// A network allocates the same buffers in the same order whenever it evaluates inputs of the same shape. The first
/// evaluation of a shape is recorded. In all later ones, every buffer has a fixed place in one block, and nothing is
/// allocated. Used by one thread at a time.
final class ActivationMemory {
    private let pool = BufferPool()
    private var plans: [[Int]: MemoryPlan] = [:]
    private var block = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var mode = Mode.outside
    /// Buffers of the current evaluation that are still in use.
    private var held = 0

    /// How a request for memory is served.
    private enum Mode {
        case outside
        /// The first evaluation of its shape: the lifetime of every buffer is recorded.
        case recording([MemoryPlan.Life], clock: Int)
        /// Buffers are placed according to the plan; `next` is the index of the next one.
        case planned(MemoryPlan, next: Int)
    }

    deinit { block.deallocate() }

    /// Number of allocations from the system.
    private(set) var allocations = 0

    /// Runs one evaluation and frees all its buffers when it ends.
    ///
    /// - Parameters:
    ///   - shape: determines the sequence of buffers
    ///   - body: the evaluation
    /// - Returns: what `body` returns
    /// - Throws: what `body` throws
    func evaluating<T>(_ shape: [Int], _ body: () throws -> T) rethrows -> T {
        if let plan = plans[shape] {
            reserve(plan.size)
            mode = .planned(plan, next: 0)
        } else {
            mode = .recording([], clock: 0)
        }
        var isWhole = false
        defer { finish(shape, isWhole: isWhole) }
        let result = try body()
        isWhole = true
        return result
    }

    /// Runs code whose buffers outlive the evaluation.
    ///
    /// - Returns: what `body` returns
    func persistent<T>(_ body: () -> T) -> T {
        let before = mode
        mode = .outside
        defer { mode = before }
        return body()
    }

    /// Returns free memory to the system.
    func drain() { pool.drain() }

    /// Returns an uninitialised buffer of at least `bytes` bytes, aligned for every kernel.
    func take(_ bytes: Int) -> Buffer {
        let wanted = max(MemoryPlan.alignment, bytes)
        switch mode {
        case .outside:
            return fresh(wanted) { [pool] in pool.giveBack($0) }
        case .recording(var lives, let clock):
            let index = lives.count
            lives.append(MemoryPlan.Life(bytes: wanted, taken: clock, returned: .max))
            mode = .recording(lives, clock: clock + 1)
            held += 1
            return fresh(wanted) { [weak self] in self?.giveBack($0, index) }
        case .planned(let plan, let next):
            precondition(
                next < plan.places.count && plan.places[next].bytes == wanted,
                "this evaluation requested other buffers than the first one of its shape"
            )
            mode = .planned(plan, next: next + 1)
            held += 1
            let place = plan.places[next].offset..<plan.places[next].offset + wanted
            return Buffer(UnsafeMutableRawBufferPointer(rebasing: block[place])) { [weak self] _ in
                self?.held -= 1
            }
        }
    }

    private func fresh(
        _ bytes: Int,
        release: @escaping (UnsafeMutableRawBufferPointer) -> Void
    ) -> Buffer {
        let (memory, isNew) = pool.take(bytes)
        if isNew { allocations += 1 }
        return Buffer(memory, release: release)
    }

    private func giveBack(_ memory: UnsafeMutableRawBufferPointer, _ index: Int) {
        pool.giveBack(memory)
        held -= 1
        guard case .recording(var lives, let clock) = mode else { return }
        lives[index].returned = clock
        mode = .recording(lives, clock: clock + 1)
    }

    private func reserve(_ bytes: Int) {
        guard block.count < bytes else { return }
        block.deallocate()
        block = LargePages.allocate(bytes)
        allocations += 1
    }

    private func finish(_ shape: [Int], isWhole: Bool) {
        precondition(held == 0, "\(held) buffers outlive their evaluation")
        if case .recording(let lives, _) = mode, isWhole {
            plans[shape] = MemoryPlan(lives)
            pool.drain()
        }
        mode = .outside
    }
}

/// A buffer that is given back when it is released.
final class Buffer {
    private let bytes: UnsafeMutableRawBufferPointer
    private let release: (UnsafeMutableRawBufferPointer) -> Void

    init(
        _ bytes: UnsafeMutableRawBufferPointer,
        release: @escaping (UnsafeMutableRawBufferPointer) -> Void
    ) {
        self.bytes = bytes
        self.release = release
    }

    deinit { release(bytes) }

    /// The first byte; a buffer is never empty.
    var start: UnsafeMutableRawPointer {
        guard let start = bytes.baseAddress else { preconditionFailure("an empty buffer") }
        return start
    }
}
