//! Values that cross in both directions: statuses, slices, results.

use core::{ffi::c_void, mem::size_of, ptr, slice};

/// How a call ended. A newtype and no enum: the other side may know statuses that we do not.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub i32);

#[expect(missing_docs, reason = "the header says what each status means")]
impl Status {
    pub const OK: Self = Self(0);
    pub const PENDING: Self = Self(1);
    pub const INVALID: Self = Self(-1);
    pub const UNSUPPORTED: Self = Self(-2);
    pub const NOT_FOUND: Self = Self(-3);
    pub const CONFLICT: Self = Self(-4);
    pub const TOO_LARGE: Self = Self(-5);
    pub const BUSY: Self = Self(-6);
    pub const TIMEOUT: Self = Self(-7);
    pub const CANCELLED: Self = Self(-8);
    pub const GONE: Self = Self(-9);
    pub const UNAUTHORIZED: Self = Self(-10);
    pub const UNAVAILABLE: Self = Self(-11);
    pub const PANICKED: Self = Self(-12);
    pub const SHUTTING_DOWN: Self = Self(-13);
    pub const RATE_LIMITED: Self = Self(-14);
    pub const FORBIDDEN: Self = Self(-15);
    pub const INTERNAL: Self = Self(-99);
}

/// A connection.
pub type Conn = u64;
/// A call into the plugin.
pub type CallId = u64;
/// An operation that the plugin asked for.
pub type OpId = u64;

/// Borrowed bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// Where they start; anything when `len` is 0.
    pub ptr: *const u8,
    /// How many.
    pub len: usize,
}

impl Slice {
    /// No bytes.
    pub const EMPTY: Self = Self { ptr: ptr::null(), len: 0 };

    /// Borrows `bytes`; the slice must not be used after them.
    pub const fn new(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// Borrows text; the slice must not be used after it.
    pub const fn text(text: &str) -> Self {
        Self::new(text.as_bytes())
    }

    /// The bytes.
    ///
    /// # Safety
    /// `ptr` and `len` must describe readable memory that nobody changes for `'a`, or `len` must be 0.
    #[expect(unsafe_code, reason = "reads memory that the other side describes")]
    pub const unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.len == 0 || self.ptr.is_null() {
            return &[];
        }
        // SAFETY: the caller vouches for the memory.
        unsafe { slice::from_raw_parts(self.ptr, self.len) }
    }
}

// SAFETY: a slice is an address and a length; using what it points to is guarded by `bytes`.
#[expect(unsafe_code, reason = "statics of plugins hold slices")]
unsafe impl Send for Slice {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "statics of plugins hold slices")]
unsafe impl Sync for Slice {}

/// An answer that is given away with its owner.
#[repr(C)]
#[derive(Debug)]
#[expect(missing_docs, reason = "the header says what each field means")]
pub struct RawResult {
    pub struct_size: u32,
    pub reserved: u32,
    pub code: u64,
    pub payload: Slice,
    pub meta: Slice,
    pub attachments: *const Slice,
    pub n_attachments: usize,
    pub owner: *mut c_void,
    pub release: Option<unsafe extern "C" fn(owner: *mut c_void)>,
}

impl RawResult {
    /// Nothing, owned by nobody.
    pub const EMPTY: Self = Self {
        struct_size: size_of::<Self>() as u32,
        reserved: 0,
        code: 0,
        payload: Slice::EMPTY,
        meta: Slice::EMPTY,
        attachments: ptr::null(),
        n_attachments: 0,
        owner: ptr::null_mut(),
        release: None,
    };
}

impl Default for RawResult {
    fn default() -> Self {
        Self::EMPTY
    }
}
